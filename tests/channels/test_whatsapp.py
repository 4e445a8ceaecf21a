"""WhatsApp against a stand-in of the Cloud API, with the payloads that Meta documents.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/payload-examples
"""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.whatsapp import open_channel
from bot.channels.whatsapp.format import plain, read_messages, read_values, render
from bot.errors import SettingError

PATH = "/webhooks/whatsapp"
SECRET = "a secret of Meta's app"
VERIFY = "a word of ours"
TOKEN = "EAAG-example"
NUMBER, CUSTOMER = "106540352242922", "16315551181"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0" * 20
LONG_PAYLOAD = '/inform{"topic": "' + "x" * 300 + '"}'

Start = Callable[..., Awaitable[Any]]


@dataclass
class Graph:
    """Takes messages of one number; `failures` are answered before anything succeeds."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    media: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    url: str = ""

    def refuse(self, code: int, subcode: int | None = None, status: int = 400) -> None:
        error = {"message": f"(#{code})", "type": "OAuthException", "code": code}
        if subcode is not None:
            error["error_subcode"] = subcode
        self.failures.append((status, {"error": error}))

    async def messages(self, request: web.Request) -> web.Response:
        self._authorize(request)
        body = await request.json()
        assert body["messaging_product"] == "whatsapp"
        if self.failures:
            status, answer = self.failures.pop(0)
            return web.json_response(answer, status=status)
        self.sent.append(body | {"number": request.match_info["number"]})
        return web.json_response(
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": body["to"], "wa_id": body["to"]}],
                "messages": [{"id": f"wamid.OUT{len(self.sent)}"}],
            }
        )

    async def describe(self, request: web.Request) -> web.Response:
        self._authorize(request)
        id_ = request.match_info["number"]
        mime_type, data = self.media[id_]
        url = self.hosts.get(id_, self.url) + f"/whatsapp_business/attachments/?mid={id_}"
        described = {"url": url, "mime_type": mime_type, "file_size": len(data), "id": id_}
        return web.json_response(described | {"messaging_product": "whatsapp"})

    async def download(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        mime_type, data = self.media[request.query["mid"]]
        return web.Response(body=data, content_type=mime_type)

    def _authorize(self, request: web.Request) -> None:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        proof = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
        assert request.query["appsecret_proof"] == proof

    def bodies(self, kind: str = "text") -> list[Any]:
        return [message[kind] for message in self.sent if message["type"] == kind]


@pytest.fixture
async def graph(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Graph]:
    fake = Graph()
    app = web.Application()
    app.router.add_post("/v23.0/{number}/messages", fake.messages)
    app.router.add_get("/v23.0/{number}", fake.describe)
    app.router.add_get("/whatsapp_business/attachments/", fake.download)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/")).rstrip("/")
        monkeypatch.setenv("KEFU_WHATSAPP_ACCESS_TOKEN", TOKEN)
        monkeypatch.setenv("KEFU_WHATSAPP_APP_SECRET", SECRET)
        monkeypatch.setenv("KEFU_WHATSAPP_VERIFY_TOKEN", VERIFY)
        monkeypatch.setenv("KEFU_WHATSAPP_API_URL", f"{fake.url}/v23.0")
        yield fake


@pytest.fixture
async def running(graph: Graph, start: Start) -> Any:
    return await start()


def signature(raw: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()


def notification(*messages: dict[str, Any], **value: Any) -> dict[str, Any]:
    given = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": NUMBER},
        "contacts": [{"profile": {"name": "Maya"}, "wa_id": CUSTOMER}],
    }
    if messages:
        given["messages"] = list(messages)
    change = {"value": given | value, "field": "messages"}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [change]}],
    }


def message(id_: str, kind: str = "text", content: Any = None, **values: Any) -> dict[str, Any]:
    given = {"from": CUSTOMER, "id": f"wamid.{id_}", "timestamp": "1749416383", "type": kind}
    return given | {kind: {"body": "hello"} if content is None else content} | values


def text(id_: str, body: str) -> dict[str, Any]:
    return message(id_, "text", {"body": body})


async def post(running: Any, body: Any) -> int:
    raw = json.dumps(body).encode()
    response = await running.client.post(
        PATH, data=raw, headers={"X-Hub-Signature-256": signature(raw)}
    )
    return int(response.status)


async def answered_with(
    running: Any, dialogue: Any, replies: list[dict[str, Any]], state: str = "sent"
) -> list[dict[str, Any]]:
    """Have the bot answer a message with these replies; returns the outbox's rows."""
    dialogue.reply = lambda said: replies
    assert await post(running, notification(text("first", "hello"))) == 200
    rows: list[dict[str, Any]] = await running.posted(len(replies), state)
    return rows


async def test_the_challenge_is_answered_to_who_knows_the_word(running: Any) -> None:
    asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": VERIFY}
    response = await running.client.get(PATH, params=asked)
    assert (response.status, await response.text()) == (200, "1158201444")
    for wrong in ({"hub.verify_token": "another word"}, {"hub.verify_token": ""}):
        assert (await running.client.get(PATH, params=asked | wrong)).status == 403
    assert (await running.client.get(PATH)).status == 403


async def test_a_message_is_answered_to_its_sender(
    running: Any, graph: Graph, dialogue: Any
) -> None:
    assert await post(running, notification(text("1", "where is my parcel?"))) == 200
    await running.posted()
    assert dialogue.texts == ["where is my parcel?"]
    (sent,) = graph.sent
    assert (sent["number"], sent["to"]) == (NUMBER, CUSTOMER)
    assert sent["text"] == {"body": "echo where is my parcel?", "preview_url": False}
    (conversation,) = running.rows("conversation")
    assert conversation["account"] == f"{NUMBER}:{CUSTOMER}"


async def test_all_messages_of_a_request_are_kept_and_retries_are_none(
    running: Any, graph: Graph, dialogue: Any
) -> None:
    batch = notification(*(text(str(number), f"part {number}") for number in range(5)))
    other = notification(text("x", "from another entry"))["entry"]
    batch["entry"] += other
    for _ in range(3):
        assert await post(running, batch) == 200
    await running.posted(6)
    said = [*(f"part {number}" for number in range(5)), "from another entry"]
    assert running.inbound() == said
    assert [body["body"] for body in graph.bodies()] == [f"echo {one}" for one in said]


async def test_every_changed_bit_is_401_and_leaves_nothing(
    running: Any, every_bit: Callable[[bytes], Any]
) -> None:
    raw = json.dumps(
        {"entry": [{"changes": [notification(text("1", "hi"))["entry"][0]["changes"][0]]}]}
    ).encode()
    signed = signature(raw).encode()
    for changed in every_bit(raw):
        assert await running.post_bytes(PATH, {"X-Hub-Signature-256": signed}, changed) == 401
    for changed in every_bit(signed):
        # A bit can make a line break or NUL of a letter: the server's parser refuses that.
        status = await running.post_bytes(PATH, {"X-Hub-Signature-256": changed}, raw)
        assert status in (400, 401)
    assert (await running.client.post(PATH, data=raw)).status == 401
    assert running.nothing_kept()


async def test_storage_that_fails_is_not_acknowledged(running: Any, graph: Graph) -> None:
    assert await post(running, notification(text("0", "before"))) == 200
    mend = running.break_storage()
    assert await post(running, notification(text("1", "hello"))) == 503
    mend()
    assert await post(running, notification(text("1", "hello"))) == 200
    await running.posted(2)
    assert running.inbound() == ["before", "hello"]


async def test_acknowledged_at_once_while_everything_behind_is_down(
    running: Any, graph: Graph, dialogue: Any
) -> None:
    dialogue.open.clear()
    started_s = time.perf_counter()
    assert await post(running, notification(text("1", "hello"))) == 200
    assert time.perf_counter() - started_s < 0.5
    assert running.inbound() == ["hello"]
    assert not graph.sent


async def test_what_is_no_message_is_acknowledged(running: Any) -> None:
    reaction = message("r", "reaction", {"message_id": "wamid.x", "emoji": "👍"})
    delivered = {"id": "wamid.x", "status": "delivered", "recipient_id": CUSTOMER}
    poll = message("p", "poll_creation", {"name": "?"})
    for body in (
        notification(reaction),
        notification(poll),
        notification(statuses=[delivered]),
        notification({"type": "text"}),
        {"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "account"}]}]},
        {"entry": None},
        {},
    ):
        assert await post(running, body) == 200
    assert running.rows("message") == []


async def test_buttons_lists_and_numbers_are_pressed(
    running: Any, graph: Graph, dialogue: Any
) -> None:
    buttons = [
        {"title": "Track it", "payload": "/track"},
        {"title": "Return it", "payload": LONG_PAYLOAD},
    ]
    await answered_with(running, dialogue, [{"text": "Which?", "buttons": buttons}])
    (interactive,) = graph.bodies("interactive")
    assert interactive["type"] == "button"
    assert interactive["body"] == {"text": "Which?"}
    replies = [button["reply"] for button in interactive["action"]["buttons"]]
    assert [reply["title"] for reply in replies] == ["Track it", "Return it"]
    assert all(len(reply["id"]) <= 256 for reply in replies)
    for number, reply in enumerate(replies):
        press = {"type": "button_reply", "button_reply": reply}
        assert await post(running, notification(message(f"b{number}", "interactive", press))) == 200
    assert await post(running, notification(text("n", "2"))) == 200
    await running.posted(4)
    assert dialogue.texts == ["hello", "/track", LONG_PAYLOAD, LONG_PAYLOAD]


async def test_a_list_holds_more_and_longer_choices(
    running: Any, graph: Graph, dialogue: Any
) -> None:
    titles = ["Where is my parcel right now?", *(f"Choice {number}" for number in range(9))]
    buttons = [{"title": title, "payload": f"/p{n}"} for n, title in enumerate(titles)]
    await answered_with(running, dialogue, [{"text": "Which?", "buttons": buttons}])
    (interactive,) = graph.bodies("interactive")
    (section,) = interactive["action"]["sections"]
    assert interactive["action"]["button"] == "Choose"
    first = section["rows"][0]
    assert first["title"] == "Where is my parcel righ…"
    assert first["description"] == titles[0]
    assert len(section["rows"]) == 10
    press = {"type": "list_reply", "list_reply": {"id": "/p3", "title": "Choice 2"}}
    assert await post(running, notification(message("l", "interactive", press))) == 200
    await running.posted(2)
    assert dialogue.texts[-1] == "/p3"


async def test_eleven_choices_are_numbered_lines(running: Any, graph: Graph, dialogue: Any) -> None:
    buttons = [{"title": f"Choice {n}", "payload": f"/p{n}"} for n in range(11)]
    await answered_with(running, dialogue, [{"text": "Which?", "buttons": buttons}])
    (body,) = graph.bodies()
    assert body["body"].endswith("10. Choice 9\n11. Choice 10")
    assert await post(running, notification(text("n", "11"))) == 200
    await running.posted(2)
    assert dialogue.texts[-1] == "/p10"


async def test_a_template_buttons_payload_is_what_was_said(running: Any, dialogue: Any) -> None:
    press = message("t", "button", {"payload": "stop-all", "text": "Stop"})
    assert await post(running, notification(press)) == 200
    await running.posted()
    assert running.inbound() == ["stop-all"]


async def test_pictures_and_files_go_by_link_and_as_text_where_refused(
    running: Any, graph: Graph, dialogue: Any
) -> None:
    image = "https://shop.example/cup.png"
    await answered_with(running, dialogue, [{"text": "A cup", "image": image}])
    assert graph.bodies("image") == [{"link": image, "caption": "A cup"}]
    graph.refuse(100)
    assert await post(running, notification(text("2", "again"))) == 200
    await running.posted(2)
    assert graph.bodies() == [{"body": f"A cup\n{image}", "preview_url": False}]


async def test_a_customers_file_is_fetched_with_the_token(
    running: Any, graph: Graph, dialogue: Any
) -> None:
    graph.media["m1"] = ("image/png", PNG)
    image = message(
        "i", "image", {"id": "m1", "mime_type": "image/png", "sha256": "x", "caption": "broken"}
    )
    assert await post(running, notification(image)) == 200
    await running.posted()
    (file,) = running.rows("file")
    assert (file["content_type"], bytes(file["data"])) == ("image/png", PNG)
    assert running.inbound() == ["broken"]


async def test_the_token_goes_to_no_other_host(running: Any, graph: Graph, dialogue: Any) -> None:
    graph.media["m1"] = ("image/png", PNG)
    graph.hosts["m1"] = "https://fbsbx.com.evil.example"
    image = message("i", "document", {"id": "m1", "mime_type": "image/png", "filename": "a.png"})
    assert await post(running, notification(image)) == 200
    await running.posted()
    assert running.rows("file") == []
    (row,) = [row for row in running.rows("message") if row["direction"] == "in"]
    assert "MEDIA_HOSTS" in json.loads(row["attachments"])[0]["missing"]


async def test_after_24_hours_nothing_is_sent_without_a_template(
    running: Any, graph: Graph, dialogue: Any, clock: Any
) -> None:
    dialogue.open.clear()
    assert await post(running, notification(text("1", "hello"))) == 200
    clock.forward(24 * 3600 + 60)
    dialogue.open.set()
    (row,) = await running.posted(1, "failed")
    assert "KEFU_WHATSAPP_TEMPLATE" in row["error"]
    assert graph.sent == []


async def test_after_24_hours_the_template_carries_the_text(
    graph: Graph,
    start: Start,
    dialogue: Any,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEFU_WHATSAPP_TEMPLATE", "answer_later")
    running = await start()
    dialogue.open.clear()
    dialogue.reply = lambda said: [{"text": "It is\n\non its way."}]
    assert await post(running, notification(text("1", "hello"))) == 200
    clock.forward(25 * 3600)
    dialogue.open.set()
    await running.posted()
    (template,) = graph.bodies("template")
    assert (template["name"], template["language"]) == ("answer_later", {"code": "en"})
    (component,) = template["components"]
    assert component["parameters"] == [{"type": "text", "text": "It is on its way."}]


@pytest.mark.parametrize("code", [131047, 131026, 100])
async def test_what_whatsapp_will_never_take_is_a_dead_letter(
    running: Any, graph: Graph, dialogue: Any, code: int
) -> None:
    graph.refuse(code)
    (row,) = await answered_with(running, dialogue, [{"text": "hi"}], "failed")
    assert str(code) in row["error"] or "24 hours" in row["error"]
    assert len(graph.sent) == 0


@pytest.mark.parametrize("code", [130429, 131056, 80007, 190, 131000])
async def test_limits_and_faults_are_waited_out(
    running: Any, graph: Graph, dialogue: Any, clock: Any, code: int
) -> None:
    graph.refuse(code)
    await answered_with(running, dialogue, [{"text": "hi"}], "queued")
    await running.tried()
    clock.forward(700)
    running.gateway.journal.on_outbox()
    (row,) = await running.posted()
    assert row["attempts"] == 2
    assert len(graph.sent) == 1


async def test_a_reported_failure_becomes_a_dead_letter(
    running: Any, graph: Graph, dialogue: Any
) -> None:
    (row,) = await answered_with(running, dialogue, [{"text": "hi"}])
    (sent,) = graph.sent
    assert sent["biz_opaque_callback_data"] == row["id"]
    failed = {
        "id": "wamid.OUT1",
        "status": "failed",
        "timestamp": "1750263773",
        "recipient_id": CUSTOMER,
        "biz_opaque_callback_data": row["id"],
        "errors": [
            {
                "code": 131047,
                "title": "Re-engagement message",
                "error_data": {"details": "more than 24 hours have passed"},
            }
        ],
    }
    assert await post(running, notification(statuses=[failed])) == 200
    (row,) = await running.posted(1, "failed")
    assert row["error"] == "WhatsApp: 131047 more than 24 hours have passed"


async def test_who_writes_too_fast_holds_up_nobody_else(
    graph: Graph, start: Start, dialogue: Any
) -> None:
    running = await start(rate_customer_per_min=2)
    other = {**text("9", "from another"), "from": "16505550000"}
    batch = notification(text("1", "one"), text("2", "two"), text("3", "three"), other)
    assert await post(running, batch) == 429
    await running.posted(3)
    assert sorted(dialogue.texts) == ["from another", "one", "two"]


def test_half_set_up_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    wiring: Any = None
    assert open_channel(wiring) is None
    monkeypatch.setenv("KEFU_WHATSAPP_ACCESS_TOKEN", TOKEN)
    with pytest.raises(SettingError, match="KEFU_WHATSAPP_APP_SECRET"):
        open_channel(wiring)


def test_locations_and_contacts_are_read() -> None:
    location = {"latitude": 31.2, "longitude": 121.5, "name": "Shop", "address": "Road 1"}
    contact = {"name": {"formatted_name": "Li"}, "phones": [{"phone": "+86 1"}]}
    sticker = {"id": "s1", "mime_type": "image/webp", "animated": False}
    events = notification(
        message("1", "location", location),
        message("2", "contacts", [contact]),
        message("3", "sticker", sticker),
        message("4", "audio", {"id": "a1", "mime_type": "audio/ogg; codecs=opus"}),
    )
    (value,) = read_values(events)
    found = [said.attachments[0] for said in read_messages(value)]
    assert found == [
        {"kind": "location", "text": "Shop\nRoad 1\n31.2,121.5"},
        {"kind": "contact", "name": "Li", "text": "Li\n+86 1"},
        {"kind": "image", "name": "sticker", "content_type": "image/webp", "reference": "s1"},
        {"kind": "audio", "name": "audio", "content_type": "audio/ogg", "reference": "a1"},
    ]


def test_a_picture_stands_over_reply_buttons(outgoing: Callable[..., Any]) -> None:
    image = "https://shop.example/cup.png"
    buttons = [{"title": "Buy", "payload": "/buy"}]
    (sent,) = render(outgoing(text="A cup", image=image, buttons=buttons), "Choose")
    assert sent["interactive"]["header"] == {"type": "image", "image": {"link": image}}


def test_files_are_documents_and_have_words_to_fall_back_on(outgoing: Callable[..., Any]) -> None:
    bill = {"name": "bill.pdf", "content_type": "application/pdf", "url": "https://k.example/f/1"}
    local = {"name": "note.txt", "content_type": "text/plain", "url": "/api/v1/files/2"}
    document, words = render(outgoing(attachments=[bill, local]), "Choose")
    assert document["document"] == {"link": bill["url"], "filename": "bill.pdf"}
    assert words["text"]["body"] == "note.txt"
    spoken = plain(document)
    assert spoken is not None
    assert spoken["text"]["body"] == "bill.pdf\nhttps://k.example/f/1"


def test_equal_titles_and_long_texts_stay_within_the_limits(outgoing: Callable[..., Any]) -> None:
    twice = [{"title": "Yes", "payload": "/a"}, {"title": "Yes", "payload": "/b"}]
    (numbered,) = render(outgoing(text="Sure?", buttons=twice), "Choose")
    assert numbered["text"]["body"] == "Sure?\n\n1. Yes\n2. Yes"
    long = "word " * 2000
    pieces = render(outgoing(text=long, buttons=[{"title": "Ok", "payload": "/ok"}]), "Choose")
    assert all(len(piece["text"]["body"]) <= 4096 for piece in pieces[:-1])
    assert len(pieces[-1]["interactive"]["body"]["text"]) <= 1024


def test_a_payload_of_ones_own_is_passed_on(outgoing: Callable[..., Any]) -> None:
    own = {"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}}
    assert render(outgoing(text="unused", custom={"whatsapp": own}), "Choose") == [own]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "id": json_values,
                "from": json_values | st.just("1"),
                "type": st.sampled_from(
                    ["text", "image", "interactive", "button", "contacts", "location"]
                )
                | json_values,
                "text": json_values,
                "image": json_values,
                "interactive": json_values,
                "button": json_values,
                "contacts": json_values,
                "location": json_values,
            },
        ),
        max_size=3,
    )
    | json_values
)
def test_no_form_of_a_message_breaks_the_reading(messages: Any) -> None:
    events = {"entry": [{"changes": [{"field": "messages", "value": {"messages": messages}}]}]}
    for value in read_values(events):
        for said in read_messages(value | {"metadata": {"phone_number_id": "1"}}):
            assert said.message_id
            said.text.encode()
