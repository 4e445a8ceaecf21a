"""Slack against a stand-in of its Web API, with requests signed as Slack signs them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.channel import Outgoing
from bot.channels.signatures import slack_signature
from bot.channels.slack import open_channel
from bot.channels.slack.blocks import messages_of, mrkdwn
from bot.channels.slack.events import Address, plain
from bot.errors import SettingError
from bot.log.records import Reply

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TOKEN = "xoxb-1-2-example"
BOT = "U0BOT"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0" * 20
LONG_PAYLOAD = '/inform{"topic": "' + "x" * 2000 + '"}'

Start = Callable[..., Awaitable[Any]]


@dataclass
class WebApi:
    """Takes the methods of one workspace; `failures` are answered before anything succeeds."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failures: list[web.Response] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    base: str = ""

    async def method(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        name = request.match_info["method"]
        is_json = request.content_type == "application/json"
        fields = await request.json() if is_json else dict(await request.post())
        fields |= request.query
        self.calls.append((name, fields))
        if self.failures:
            return self.failures.pop(0)
        if name == "files.getUploadURLExternal":
            url = f"{self.base}upload/F1"
            return web.json_response({"ok": True, "upload_url": url, "file_id": "F1"})
        if name == "files.completeUploadExternal":
            return web.json_response({"ok": True, "files": [{"id": "F1"}]})
        return web.json_response({"ok": True, "channel": fields["channel"], "ts": "1.2"})

    async def upload(self, request: web.Request) -> web.Response:
        self.uploads.append(await request.read())
        return web.Response(text="OK - 36")

    async def file(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            # Slack sends whoever has no token to a page to sign in.
            raise web.HTTPFound("/signin")
        return web.Response(body=PNG, content_type="image/png")

    def sent(self, method: str = "chat.postMessage") -> list[dict[str, Any]]:
        return [fields for name, fields in self.calls if name == method]


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebApi]:
    fake = WebApi()
    app = web.Application()
    app.router.add_post("/api/{method}", fake.method)
    app.router.add_post("/upload/F1", fake.upload)
    app.router.add_get("/files/{name}", fake.file)
    async with TestServer(app) as server:
        fake.base = str(server.make_url("/"))
        monkeypatch.setenv("KEFU_SLACK_BOT_TOKEN", TOKEN)
        monkeypatch.setenv("KEFU_SLACK_SIGNING_SECRET", SECRET)
        monkeypatch.setenv("KEFU_SLACK_API_URL", f"{fake.base}api/")
        yield fake


@pytest.fixture
async def running(api: WebApi, start: Start) -> Any:
    return await start()


def event(id_: str, text: str = "hello", **values: Any) -> dict[str, Any]:
    given = {
        "type": "message",
        "channel_type": "im",
        "channel": "D1",
        "user": "U1",
        "text": text,
        "ts": "1700000000.000100",
    }
    return {
        "type": "event_callback",
        "team_id": "T1",
        "api_app_id": "A1",
        "event_id": id_,
        "event": given | values,
        "authorizations": [{"team_id": "T1", "user_id": BOT, "is_bot": True}],
    }


def press(
    value: str, *, title: str = "Track", action_ts: str = "1700000001.1", **message: Any
) -> Any:
    return {
        "type": "block_actions",
        "user": {"id": "U1", "username": "maya"},
        "channel": {"id": "D1", "name": "directmessage"},
        "container": {"type": "message", "message_ts": "1.2", "channel_id": "D1"},
        "message": {"type": "message", "ts": "1.2"} | message,
        "trigger_id": "1.2.abc",
        "actions": [
            {
                "type": "button",
                "action_id": "button-0",
                "text": {"type": "plain_text", "text": title},
                "value": value,
                "action_ts": action_ts,
            }
        ],
    }


def signed(raw: bytes, seconds: int) -> dict[str, str]:
    return {
        "X-Slack-Request-Timestamp": str(seconds),
        "X-Slack-Signature": slack_signature(raw, str(seconds), SECRET),
    }


async def post(running: Any, body: Any, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await running.client.post(
        "/webhooks/slack",
        data=raw,
        headers={"Content-Type": "application/json"}
        | signed(raw, running.clock.seconds())
        | headers,
    )


async def post_press(running: Any, payload: Any) -> Any:
    raw = urlencode({"payload": json.dumps(payload)}).encode()
    content = {"Content-Type": "application/x-www-form-urlencoded"}
    return await post(running, raw, **content)


async def test_a_direct_message_is_answered_in_its_channel(
    running: Any, api: WebApi, dialogue: Any
) -> None:
    response = await post(running, event("Ev1", "where is my parcel &amp; when?"))
    assert response.status == 200
    await running.posted()
    assert dialogue.texts == ["where is my parcel & when?"]
    (sent,) = api.sent()
    assert sent["channel"] == "D1"
    assert "thread_ts" not in sent
    assert sent["text"] == "echo where is my parcel &amp; when?"
    assert sent["blocks"][0]["text"]["text"] == sent["text"]


async def test_a_mention_is_answered_in_a_thread_below_it(
    running: Any, api: WebApi, dialogue: Any
) -> None:
    mention = {"type": "app_mention", "channel": "C1", "channel_type": "channel", "ts": "17.5"}
    await post(running, event("Ev1", f"<@{BOT}> hello", **mention))
    await running.posted()
    assert dialogue.texts == ["hello"]
    assert (api.sent()[0]["channel"], api.sent()[0]["thread_ts"]) == ("C1", "17.5")
    # In the same thread, the same customer goes on; another one begins anew.
    later = mention | {"ts": "18.5", "thread_ts": "17.5"}
    await post(running, event("Ev2", f"<@{BOT}|kefu>: and then?", **later))
    await post(running, event("Ev3", f"<@{BOT}> me too", **later, user="U2"))
    await running.posted(3)
    conversations = {turn["text"]: turn["conversation_id"] for turn in dialogue.turns}
    assert conversations["and then?"] == conversations["hello"] != conversations["me too"]
    assert {sent["thread_ts"] for sent in api.sent()} == {"17.5"}


async def test_slacks_retries_are_one_message(running: Any, api: WebApi, dialogue: Any) -> None:
    body = event("Ev1")
    assert (await post(running, body)).status == 200
    for number in "12":
        # Slack signs each try anew.
        running.clock.forward(60)
        retry = {"X-Slack-Retry-Num": number, "X-Slack-Retry-Reason": "http_timeout"}
        assert (await post(running, body, **retry)).status == 200
    await running.posted()
    assert running.inbound() == ["hello"]
    assert len(api.sent()) == len(dialogue.turns) == 1


async def test_an_id_that_comes_with_another_text_is_acknowledged_and_not_kept(
    running: Any, dialogue: Any
) -> None:
    for text in ("hello", "something else"):
        assert (await post(running, event("Ev1", text))).status == 200
    await running.posted()
    assert running.inbound() == ["hello"]


async def test_a_replayed_request_is_refused(running: Any, dialogue: Any) -> None:
    raw = json.dumps(event("Ev1")).encode()
    headers = signed(raw, running.clock.seconds()) | {"Content-Type": "application/json"}
    first = await running.client.post("/webhooks/slack", data=raw, headers=headers)
    assert first.status == 200
    await running.posted()
    again = await running.client.post("/webhooks/slack", data=raw, headers=headers)
    assert again.status == 401
    assert running.inbound() == ["hello"]
    assert len(dialogue.turns) == 1


async def test_every_bit_of_a_signed_request_counts(
    running: Any, dialogue: Any, every_bit: Any
) -> None:
    raw = b'{"type":"event_callback","event_id":"E"}'
    headers = {name: value.encode() for name, value in signed(raw, running.clock.seconds()).items()}
    for changed in every_bit(raw):
        assert await running.post_bytes("/webhooks/slack", headers, changed) == 401
    for name, value in headers.items():
        for changed in every_bit(value):
            status = await running.post_bytes("/webhooks/slack", headers | {name: changed}, raw)
            assert status == (401 if min(changed) >= 32 and 127 not in changed else 400), changed
    assert await running.post_bytes("/webhooks/slack", headers, raw) == 200
    assert running.nothing_kept()
    assert dialogue.turns == []


@pytest.mark.parametrize("off_s", [-86_400, -301, 360])
async def test_a_timestamp_five_minutes_off_is_refused(running: Any, off_s: int) -> None:
    raw = json.dumps(event("Ev1")).encode()
    headers = signed(raw, running.clock.seconds() + off_s)
    response = await running.client.post("/webhooks/slack", data=raw, headers=headers)
    assert response.status == 401
    assert (await response.json())["error"]["field"] == "X-Slack-Request-Timestamp"
    assert running.nothing_kept()


async def test_the_challenge_is_answered_when_it_is_signed(running: Any) -> None:
    body = {"type": "url_verification", "token": "t", "challenge": "3eZbrw1aB"}
    response = await post(running, body)
    assert (response.status, await response.json()) == (200, {"challenge": "3eZbrw1aB"})
    forged = await post(running, body, **{"X-Slack-Signature": "v0=" + "0" * 64})
    assert forged.status == 401


async def test_what_no_customer_said_is_not_answered(running: Any, dialogue: Any) -> None:
    for number, values in enumerate(
        (
            {"bot_id": "B1"},
            {"user": BOT},
            {"user": None},
            {"subtype": "message_changed"},
            {"subtype": "message_deleted"},
            {"subtype": "channel_join"},
            {"subtype": "bot_message"},
            {"channel_type": "channel", "channel": "C1"},
            {"type": "reaction_added"},
            {"text": ""},
            {"files": [{"id": "F1", "mode": "tombstone"}], "text": ""},
        )
    ):
        assert (await post(running, event(f"Ev{number}", **values))).status == 200
    assert (await post(running, {"type": "app_rate_limited", "team_id": "T1"})).status == 200
    assert running.nothing_kept()
    assert dialogue.turns == []


async def test_buttons_go_out_and_presses_come_back(
    running: Any, api: WebApi, dialogue: Any
) -> None:
    buttons = [
        {"title": "Track", "payload": "/track"},
        {"title": "t" * 90, "payload": LONG_PAYLOAD},
    ]
    dialogue.reply = lambda text: [{"text": "Which one?", "buttons": buttons}]
    await post(running, event("Ev1", "help"))
    await running.posted()
    (sent,) = api.sent()
    section, actions = sent["blocks"]
    assert section["text"]["text"] == "Which one?"
    first, second = actions["elements"]
    assert (first["text"]["text"], first["value"]) == ("Track", "/track")
    assert len(second["text"]["text"]) == 75
    assert len(second["value"]) <= 2000

    assert (await post_press(running, press(second["value"]))).status == 200
    await running.posted(2)
    again = press("/track", action_ts="1700000002.1")
    assert (await post_press(running, again)).status == 200
    await running.posted(3)
    assert dialogue.texts == ["help", LONG_PAYLOAD, "/track"]
    # The same press in a request of its own.
    running.clock.forward(1)
    assert (await post_press(running, again)).status == 200
    assert len(running.inbound()) == 3


async def test_a_press_belongs_to_who_pressed(running: Any, api: WebApi, dialogue: Any) -> None:
    dialogue.reply = lambda text: [
        {"text": "?", "buttons": [{"title": "Long", "payload": LONG_PAYLOAD}]}
    ]
    await post(running, event("Ev1", "help"))
    await running.posted()
    value = api.sent()[0]["blocks"][1]["elements"][0]["value"]
    stranger = press(value, title="Long") | {"user": {"id": "U666"}}
    await post_press(running, stranger)
    # To a stranger the reference opens nothing: what the button says is all they have said.
    await running.posted(2)
    assert dialogue.texts == ["help", "Long"]


async def test_a_press_below_a_message_that_heads_a_thread_stays_in_the_conversation(
    running: Any, dialogue: Any
) -> None:
    await post(running, event("Ev1", "help"))
    await running.posted()
    await post_press(running, press("/track", thread_ts="1.2"))
    await running.posted(2)
    assert len(running.rows("conversation")) == 1


async def test_a_payload_that_is_no_button_is_nothing(running: Any) -> None:
    for payload in (
        {"type": "view_submission", "user": {"id": "U1"}},
        press("x") | {"actions": [{"type": "datepicker"}]},
        press("x") | {"actions": []},
        press("x") | {"user": {}},
    ):
        assert (await post_press(running, payload)).status == 200
    broken = await post(
        running, b"payload=%7B", **{"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert broken.status == 400
    assert running.nothing_kept()


async def test_pictures_go_out_with_their_text(running: Any, api: WebApi, dialogue: Any) -> None:
    image = "https://shop.example/a.png"
    dialogue.reply = lambda text: [{"text": "Look", "image": image}]
    await post(running, event("Ev1"))
    await running.posted()
    assert api.sent()[0]["blocks"][1] == {"type": "image", "image_url": image, "alt_text": "Look"}


async def test_a_picture_that_slack_cannot_get_is_an_address(
    running: Any, api: WebApi, dialogue: Any
) -> None:
    buttons = [{"title": "Yes", "payload": "/yes"}]
    dialogue.reply = lambda text: [
        {"text": "Look", "image": "https://shop.example/a.png", "buttons": buttons}
    ]
    api.failures = [web.json_response({"ok": False, "error": "invalid_blocks"})]
    await post(running, event("Ev1"))
    await running.posted()
    blocks = api.sent()[-1]["blocks"]
    assert [block["type"] for block in blocks] == ["section", "section", "actions"]
    assert blocks[1]["text"]["text"] == "<https://shop.example/a.png>"


async def test_a_customers_file_is_kept(running: Any, api: WebApi) -> None:
    file = {
        "id": "F1",
        "name": "broken.png",
        "mimetype": "image/png",
        "size": len(PNG),
        "mode": "hosted",
        "url_private": f"{api.base}files/view",
        "url_private_download": f"{api.base}files/download",
    }
    await post(running, event("Ev1", "look", subtype="file_share", files=[file]))
    await running.posted()
    (kept,) = running.rows("file")
    assert (kept["data"], kept["name"]) == (PNG, "broken.png")


async def test_the_token_goes_to_slack_only(running: Any, api: WebApi, dialogue: Any) -> None:
    asked: list[Any] = []

    async def steal(request: web.Request) -> web.Response:
        asked.append(request.headers)
        return web.Response(body=PNG)

    thief = web.Application()
    thief.router.add_get("/{any:.*}", steal)
    async with TestServer(thief) as server:
        host = f"{server.host}:{server.port}"
        for number, url in enumerate(
            (
                f"http://{host}/a.png",
                f"http://files.slack.com@{host}/a.png",
                f"http://{host}/files.slack.com/a.png",
            )
        ):
            file = {"id": "F", "name": "a.png", "mimetype": "image/png", "url_private": url}
            await post(running, event(f"Ev{number}", "look", files=[file]))
        await running.posted(3)
    assert asked == []
    assert running.rows("file") == []
    assert dialogue.texts == ["look"] * 3


async def test_a_file_of_ours_goes_out_as_bytes(running: Any, api: WebApi) -> None:
    file = {
        "id": "F1",
        "name": "a.png",
        "mimetype": "image/png",
        "url_private": f"{api.base}files/a",
    }
    await post(running, event("Ev1", "look", files=[file]))
    await running.posted()
    (kept,) = running.rows("file")
    (conversation,) = running.rows("conversation")
    attachment = {"id": kept["id"], "name": "a.png", "kind": "image", "content_type": "image/png"}
    reply = Reply(id="agent-1", text="Like this?", author="agent", attachments=[attachment])
    await running.gateway.journal.say(conversation["id"], [reply])
    await running.posted(2)
    assert api.uploads == [PNG]
    (completed,) = api.sent("files.completeUploadExternal")
    assert completed["channel_id"] == "D1"


async def test_a_rate_limit_is_waited_out(running: Any, api: WebApi) -> None:
    api.failures = [
        web.json_response(
            {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "30"}
        )
    ]
    await post(running, event("Ev1"))
    row = await running.tried()
    assert "patience" in row["error"]
    running.clock.forward(31)
    running.gateway.sender.wake()
    await running.posted()
    assert len(api.sent()) == 2


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (200, '{"ok": false, "error": "internal_error"}', "application/json"),
        (200, '{"ok": false, "error": "token_revoked"}', "application/json"),
        (502, "<html>", "text/html"),
        (503, "upstream", "text/plain"),
        (200, "{", "application/json"),
    ],
)
async def test_slacks_own_trouble_passes(
    running: Any, api: WebApi, status: int, body: str, content_type: str
) -> None:
    api.failures = [web.Response(status=status, text=body, content_type=content_type)]
    await post(running, event("Ev1"))
    await running.tried()
    running.clock.forward(3600)
    running.gateway.sender.wake()
    await running.posted()


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "user_disabled"])
async def test_who_cannot_be_reached_is_a_dead_letter(
    running: Any, api: WebApi, error: str
) -> None:
    api.failures = [web.json_response({"ok": False, "error": error})]
    await post(running, event("Ev1"))
    (row,) = await running.posted(state="failed")
    assert error in row["error"]


async def test_it_is_acknowledged_while_everything_behind_is_down(
    running: Any, api: WebApi, dialogue: Any
) -> None:
    dialogue.open.clear()
    assert (await post(running, event("Ev1"))).status == 200
    assert running.inbound() == ["hello"]
    assert api.sent() == []


async def test_it_is_not_acknowledged_when_it_cannot_be_stored(running: Any, dialogue: Any) -> None:
    mend = running.break_storage()
    response = await post(running, event("Ev1"))
    assert response.status == 503
    mend()
    assert dialogue.turns == []
    running.clock.forward(60)
    assert (await post(running, event("Ev1"))).status == 200
    await running.posted()
    assert running.inbound() == ["hello"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a &lt;b&gt; &amp;amp;", "a <b> &amp;"),
        ("<https://shop.example/a?b=1&amp;c=2>", "https://shop.example/a?b=1&c=2"),
        ("<http://shop.example|shop.example>", "shop.example"),
        ("<https://shop.example|our shop>", "our shop (https://shop.example)"),
        ("<mailto:maya@mail.example|maya@mail.example>", "maya@mail.example"),
        ("<tel:+4712345678|12345678>", "12345678"),
        ("ask <@U123> in <#C1|general>, <!here>", "ask @U123 in #general, @here"),
    ],
)
def test_markup_is_read_as_it_was_meant(written: str, read: str) -> None:
    assert plain(written) == read


@given(st.text())
def test_no_text_of_ours_calls_anybody(text: str) -> None:
    shown = mrkdwn(text)
    assert "<!" not in shown
    assert "<@" not in shown
    assert "<#" not in shown
    # What is between angle brackets is an address and nothing else.
    for part in shown.split("<")[1:]:
        assert part.startswith(("http://", "https://"))
        assert "|" not in part.split(">")[0]


def test_addresses_become_links_without_the_full_stop() -> None:
    assert mrkdwn("see https://shop.example/a?b=1&c=2.") == (
        "see <https://shop.example/a?b=1&amp;c=2>."
    )


def test_a_long_text_keeps_to_slacks_limits(outgoing: Callable[..., Outgoing]) -> None:
    text = "Fish & chips. " * 5000
    buttons = [{"title": str(number), "payload": f"/{number}"} for number in range(60)]
    messages = messages_of(outgoing(text=text, buttons=buttons))
    assert len(messages) > 1
    for message in messages:
        assert len(message["blocks"]) <= 50
        for block in message["blocks"]:
            if block["type"] == "section":
                assert len(block["text"]["text"]) <= 3000
    rows = [block for block in messages[-1]["blocks"] if block["type"] == "actions"]
    assert [len(row["elements"]) for row in rows] == [25, 25, 10]
    shown = "".join(
        block["text"]["text"]
        for message in messages
        for block in message["blocks"]
        if block["type"] == "section"
    )
    assert "".join(plain(shown).split()) == "".join(text.split())


def test_a_message_of_buttons_only_says_them_to_a_screen_reader(
    outgoing: Callable[..., Outgoing],
) -> None:
    buttons = [{"title": "Yes", "payload": "/y"}, {"title": "No", "payload": "/n"}]
    (message,) = messages_of(outgoing(buttons=buttons))
    assert message["text"] == "Yes, No"


def test_an_account_is_an_address() -> None:
    for address in (Address(channel="D1", user="U1"), Address(channel="C", user="U", thread="1.2")):
        assert Address.of(address.account) == address


@pytest.mark.parametrize("variable", ["KEFU_SLACK_BOT_TOKEN", "KEFU_SLACK_SIGNING_SECRET"])
async def test_half_a_set_up_names_the_variable(
    api: WebApi, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable)
    wiring: Any = None
    with pytest.raises(SettingError, match=variable):
        open_channel(wiring)


def test_without_settings_the_channel_is_off() -> None:
    wiring: Any = None
    assert open_channel(wiring) is None
