"""Messenger against a stand-in of the Send API, with the payloads that Meta documents.

https://developers.facebook.com/docs/messenger-platform/reference/webhook-events
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

from bot.channels.messenger import open_channel
from bot.channels.messenger.format import read_messages, render
from bot.errors import SettingError
from bot.log.records import Reply

PATH = "/webhooks/messenger"
SECRET = "a secret of Meta's app"
VERIFY = "a word of ours"
TOKEN = "EAAG-page"
PAGE, PSID = "1234567890", "5551234567"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0" * 20
LONG_PAYLOAD = '/inform{"topic": "' + "x" * 1100 + '"}'

Start = Callable[..., Awaitable[Any]]


@dataclass
class SendApi:
    """Takes messages of one page; `failures` are answered before anything succeeds."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    def refuse(self, code: int, subcode: int | None = None) -> None:
        error = {"message": "no", "type": "OAuthException", "code": code}
        self.failures.append((400, {"error": error | {"error_subcode": subcode}}))

    async def messages(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        body = await request.json()
        if self.failures:
            status, answer = self.failures.pop(0)
            return web.json_response(answer, status=status)
        self.sent.append(body | {"page": request.match_info["page"]})
        return web.json_response({"recipient_id": body["recipient"]["id"], "message_id": "m_x"})

    async def file(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        return web.Response(body=PNG, content_type="image/png")

    def said(self) -> list[dict[str, Any]]:
        return [body["message"] for body in self.sent]


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SendApi]:
    fake = SendApi()
    app = web.Application()
    app.router.add_post("/v23.0/{page}/messages", fake.messages)
    app.router.add_get("/cdn/cup.png", fake.file)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/")).rstrip("/")
        monkeypatch.setenv("KEFU_MESSENGER_ACCESS_TOKEN", TOKEN)
        monkeypatch.setenv("KEFU_MESSENGER_APP_SECRET", SECRET)
        monkeypatch.setenv("KEFU_MESSENGER_VERIFY_TOKEN", VERIFY)
        monkeypatch.setenv("KEFU_MESSENGER_API_URL", f"{fake.url}/v23.0")
        yield fake


@pytest.fixture
async def running(api: SendApi, start: Start) -> Any:
    return await start()


def signature(raw: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()


def events(*items: dict[str, Any], held: str = "messaging") -> dict[str, Any]:
    entry = {"id": PAGE, "time": 1458692752478, held: list(items)}
    return {"object": "page", "entry": [entry]}


def event(**values: Any) -> dict[str, Any]:
    given = {"sender": {"id": PSID}, "recipient": {"id": PAGE}, "timestamp": 1458692752478}
    return given | values


def text(mid: str, body: str, **values: Any) -> dict[str, Any]:
    return event(message={"mid": mid, "text": body} | values)


async def post(running: Any, body: Any) -> int:
    raw = json.dumps(body).encode()
    headers = {"X-Hub-Signature-256": signature(raw)}
    response = await running.client.post(PATH, data=raw, headers=headers)
    return int(response.status)


async def test_the_challenge_is_answered_to_who_knows_the_word(running: Any) -> None:
    asked = {"hub.mode": "subscribe", "hub.challenge": "CHALLENGE", "hub.verify_token": VERIFY}
    response = await running.client.get(PATH, params=asked)
    assert (response.status, await response.text()) == (200, "CHALLENGE")
    wrong = asked | {"hub.verify_token": "x"}
    assert (await running.client.get(PATH, params=wrong)).status == 403


async def test_messages_are_answered_once_each(running: Any, api: SendApi, dialogue: Any) -> None:
    batch = events(text("m1", "hello"), text("m2", "where is it?"))
    for _ in range(3):
        assert await post(running, batch) == 200
    await running.posted(2)
    assert dialogue.texts == ["hello", "where is it?"]
    assert [one["text"] for one in api.said()] == ["echo hello", "echo where is it?"]
    assert api.sent[0]["messaging_type"] == "RESPONSE"
    assert (api.sent[0]["page"], api.sent[0]["recipient"]) == (PAGE, {"id": PSID})


async def test_echoes_receipts_and_what_another_app_holds_are_no_messages(running: Any) -> None:
    echo = {"mid": "e", "text": "our own", "is_echo": True, "app_id": 1}
    for body in (
        events(event(message=echo)),
        events(event(delivery={"mids": ["m1"], "watermark": 1})),
        events(event(read={"watermark": 1})),
        events(text("s", "to a person"), held="standby"),
        events(event(message={"text": "no id"})),
        {"object": "instagram", "entry": [{"messaging": [text("i", "hi")]}]},
        {"object": "page", "entry": [None, {"messaging": "x"}]},
    ):
        assert await post(running, body) == 200
    assert running.nothing_kept()


async def test_every_changed_bit_is_401_and_leaves_nothing(
    running: Any, every_bit: Callable[[bytes], Any]
) -> None:
    raw = json.dumps(events(text("m1", "hi")), separators=(",", ":")).encode()
    signed = signature(raw).encode()
    for changed in every_bit(raw):
        assert await running.post_bytes(PATH, {"X-Hub-Signature-256": signed}, changed) == 401
    assert (await running.client.post(PATH, data=raw)).status == 401
    assert running.nothing_kept()


async def test_storage_that_fails_is_not_acknowledged(running: Any, api: SendApi) -> None:
    mend = running.break_storage()
    assert await post(running, events(text("m1", "hello"))) == 503
    mend()
    assert await post(running, events(text("m1", "hello"))) == 200
    await running.posted()
    assert running.inbound() == ["hello"]


async def test_acknowledged_at_once_while_everything_behind_is_down(
    running: Any, api: SendApi, dialogue: Any
) -> None:
    dialogue.open.clear()
    started_s = time.perf_counter()
    assert await post(running, events(text("m1", "hello"))) == 200
    assert time.perf_counter() - started_s < 0.5
    assert running.inbound() == ["hello"]


async def test_quick_replies_postbacks_and_numbers_are_pressed(
    running: Any, api: SendApi, dialogue: Any
) -> None:
    buttons = [
        {"title": "Track it", "payload": "/track"},
        {"title": "Return it", "payload": LONG_PAYLOAD},
    ]
    dialogue.reply = lambda said: [{"text": "Which?", "buttons": buttons}]
    start = event(postback={"mid": "p0", "title": "Get Started", "payload": "GET_STARTED"})
    assert await post(running, events(start)) == 200
    await running.posted()
    (asked,) = api.said()
    assert asked["text"] == "Which?"
    replies = asked["quick_replies"]
    assert [reply["title"] for reply in replies] == ["Track it", "Return it"]
    assert all(len(reply["payload"]) <= 1000 for reply in replies)
    for number, reply in enumerate(replies):
        pressed = text(f"q{number}", reply["title"], quick_reply={"payload": reply["payload"]})
        assert await post(running, events(pressed)) == 200
    assert await post(running, events(text("n", "1"))) == 200
    await running.posted(4)
    assert dialogue.texts == ["hello", "/track", LONG_PAYLOAD, "/track"]


async def test_a_customers_file_is_fetched_from_metas_hosts_only(
    running: Any, api: SendApi, dialogue: Any
) -> None:
    def image(mid: str, url: str) -> dict[str, Any]:
        attachment = {"type": "image", "payload": {"url": url}}
        return event(message={"mid": mid, "attachments": [attachment]})

    good = image("i1", f"{api.url}/cdn/cup.png")
    evil = image("i2", "https://fbcdn.net@evil.example/cup.png")
    inner = image("i3", "http://127.0.0.1:1/cup.png")
    assert await post(running, events(good, evil, inner)) == 200
    await running.posted(3)
    (file,) = running.rows("file")
    assert bytes(file["data"]) == PNG
    kept = [row for row in running.rows("message") if row["direction"] == "in"]
    assert ["missing" in row["attachments"] for row in kept] == [False, True, True]


async def test_people_may_answer_for_seven_days_and_programs_for_one(
    api: SendApi,
    start: Start,
    dialogue: Any,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEFU_MESSENGER_HUMAN_AGENT", "true")
    running = await start()
    dialogue.open.clear()
    assert await post(running, events(text("m1", "hello"))) == 200
    clock.forward(25 * 3600)
    dialogue.open.set()
    (row,) = await running.posted(1, "failed")
    assert "24 hours" in row["error"]
    journal = running.gateway.journal
    await journal.say(row["conversation_id"], [Reply(id="agent1", text="Hi", author="agent")])
    await running.posted()
    assert (api.sent[0]["messaging_type"], api.sent[0]["tag"]) == ("MESSAGE_TAG", "HUMAN_AGENT")
    clock.forward(7 * 24 * 3600)
    await journal.say(row["conversation_id"], [Reply(id="agent2", text="Yo", author="agent")])
    (_, late) = await running.posted(2, "failed")
    assert "7 days" in late["error"]


@pytest.mark.parametrize(("code", "subcode"), [(10, 2018278), (551, None), (100, 2018001)])
async def test_what_facebook_will_never_take_is_a_dead_letter(
    running: Any, api: SendApi, code: int, subcode: int | None
) -> None:
    api.refuse(code, subcode)
    assert await post(running, events(text("m1", "hello"))) == 200
    (row,) = await running.posted(1, "failed")
    assert str(code) in row["error"]


@pytest.mark.parametrize("code", [613, 4, 1200, 190])
async def test_limits_and_faults_are_waited_out(
    running: Any, api: SendApi, clock: Any, code: int
) -> None:
    api.refuse(code)
    assert await post(running, events(text("m1", "hello"))) == 200
    await running.tried()
    clock.forward(700)
    running.gateway.journal.on_outbox()
    (row,) = await running.posted()
    assert (row["attempts"], len(api.sent)) == (2, 1)


async def test_a_picture_facebook_cannot_load_goes_by_address(
    running: Any, api: SendApi, dialogue: Any
) -> None:
    image = "https://shop.example/cup.png"
    dialogue.reply = lambda said: [{"text": "A cup", "image": image}]
    api.refuse(100)
    assert await post(running, events(text("m1", "hello"))) == 200
    await running.posted()
    assert api.said() == [{"text": image}, {"text": "A cup"}]


def test_long_texts_many_and_long_titles_stay_within_the_limits(outgoing: Any) -> None:
    pieces = render(outgoing(text="word " * 1000, buttons=[{"title": "Ok", "payload": "/ok"}]))
    assert all(len(piece["text"]) <= 2000 for piece in pieces)
    assert ["quick_replies" in piece for piece in pieces] == [False, False, True]
    many = [{"title": f"Choice {n}", "payload": f"/{n}"} for n in range(14)]
    (numbered,) = render(outgoing(text="Which?", buttons=many))
    assert numbered["text"].endswith("14. Choice 13")
    long = [{"title": "Where is my parcel right now?", "payload": "/w"}]
    (numbered,) = render(outgoing(buttons=long))
    assert numbered == {"text": "1. Where is my parcel right now?"}
    local = {"kind": "file", "name": "a.pdf", "url": "/api/v1/files/1"}
    assert render(outgoing(attachments=[local])) == [{"text": "a.pdf"}]


def test_half_set_up_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    wiring: Any = None
    assert open_channel(wiring) is None
    monkeypatch.setenv("KEFU_MESSENGER_APP_SECRET", SECRET)
    with pytest.raises(SettingError, match="KEFU_MESSENGER_ACCESS_TOKEN"):
        open_channel(wiring)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=15,
)
attachments = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["image", "file", "location", "fallback"]) | json_values},
        optional={
            "payload": st.fixed_dictionaries({}, optional={"url": json_values}) | json_values
        },
    ),
    max_size=2,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "mid": json_values | st.just("m"),
            "text": json_values,
            "quick_reply": json_values,
            "attachments": attachments | json_values,
        },
    )
    | json_values,
    json_values,
)
def test_no_form_of_an_event_breaks_the_reading(message: Any, postback: Any) -> None:
    for item in (event(message=message), event(postback=postback)):
        for said in read_messages(events(item)):
            assert said.message_id
            said.text.encode()
