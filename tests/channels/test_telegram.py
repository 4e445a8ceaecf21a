"""Telegram against a stand-in that speaks the Bot API: https://core.telegram.org/bots/api."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.channels.telegram import open_channel
from bot.errors import SettingError
from bot.log.records import Reply

TOKEN = "123456789:AAEXAMPLEexampleEXAMPLEexampleEXAMPLE12"
SECRET = "a-secret_of-the-tests-0123456789"
CHAT = 4711
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0" * 20
LONG_PAYLOAD = '/inform{"topic": "' + "x" * 80 + '"}'

Start = Callable[..., Awaitable[Any]]


@dataclass
class BotApi:
    """Takes the methods of one bot; `failures` are answered before anything succeeds."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failures: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    failing_methods: tuple[str, ...] = ("sendMessage", "sendPhoto", "sendDocument", "setWebhook")
    files: dict[str, bytes] = field(default_factory=dict)
    asked_files: list[str] = field(default_factory=list)

    async def method(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != TOKEN:
            return web.json_response(
                {"ok": False, "error_code": 404, "description": "Not Found"}, status=404
            )
        name = request.match_info["method"]
        fields: dict[str, Any] = {}
        reader = await request.multipart() if "multipart" in request.content_type else None
        if reader is None:
            fields |= await request.post()
        else:
            async for part in reader:
                raw = await part.read()
                fields[part.name] = (part.filename, raw) if part.filename else raw.decode()
        self.calls.append((name, fields))
        if self.failures and name in self.failing_methods:
            status, body = self.failures.pop(0)
            return web.json_response({"ok": False, "error_code": status} | body, status=status)
        return web.json_response({"ok": True, "result": self._result(name, fields)})

    def _result(self, name: str, fields: dict[str, Any]) -> Any:
        if name == "setWebhook":
            return True
        if name == "getFile":
            id_ = fields["file_id"]
            return {
                "file_id": id_,
                "file_unique_id": f"u{id_}",
                "file_size": len(self.files[id_]),
                "file_path": f"photos/{id_}.png",
            }
        return {
            "message_id": 1000 + len(self.calls),
            "date": 1700000000,
            "chat": {"id": int(fields["chat_id"]), "type": "private"},
        }

    async def file(self, request: web.Request) -> web.Response:
        id_ = request.match_info["name"].removesuffix(".png")
        self.asked_files.append(id_)
        return web.Response(body=self.files[id_], content_type="application/octet-stream")

    def sent(self, *methods: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.calls if name in (methods or ("sendMessage",))]


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BotApi]:
    fake = BotApi()
    app = web.Application()
    app.router.add_post("/bot{token}/{method}", fake.method)
    app.router.add_get(f"/file/bot{TOKEN}/photos/{{name}}", fake.file)
    async with TestServer(app) as server:
        monkeypatch.setenv("KEFU_TELEGRAM_TOKEN", TOKEN)
        monkeypatch.setenv("KEFU_TELEGRAM_WEBHOOK_SECRET", SECRET)
        monkeypatch.setenv("KEFU_TELEGRAM_API_URL", str(server.make_url("/")))
        yield fake


@pytest.fixture
async def running(api: BotApi, start: Start) -> Any:
    return await start()


def message(text: str | None = None, **values: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "message_id": 12,
        "date": 1700000000,
        "chat": {"id": CHAT, "type": "private", "first_name": "Maya"},
        "from": {"id": CHAT, "is_bot": False, "first_name": "Maya", "language_code": "en"},
    }
    return given | ({} if text is None else {"text": text}) | values


def update(id_: int, **values: Any) -> dict[str, Any]:
    return {"update_id": id_} | values


def press(id_: int, data: str, **values: Any) -> dict[str, Any]:
    person = {"id": CHAT, "is_bot": False, "first_name": "Maya"}
    query = {
        "id": f"query-{id_}",
        "from": person,
        "chat_instance": "1",
        "data": data,
        "message": message("Which one?", **{"from": person | {"id": 1, "is_bot": True}}),
    }
    return update(id_, callback_query=query | values)


async def post(running: Any, body: Any, secret: str | bytes | None = SECRET) -> Any:
    headers = {} if secret is None else {"X-Telegram-Bot-Api-Secret-Token": secret}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await running.client.post("/webhooks/telegram", data=data, headers=headers)


async def test_a_message_is_answered_in_its_chat(running: Any, api: BotApi, dialogue: Any) -> None:
    response = await post(running, update(1, message=message("where is my parcel?")))
    assert response.status == 200
    await running.posted()
    assert dialogue.texts == ["where is my parcel?"]
    assert api.sent() == [{"chat_id": str(CHAT), "text": "echo where is my parcel?"}]
    (conversation,) = running.rows("conversation")
    assert (conversation["channel"], conversation["account"]) == ("telegram", str(CHAT))
    assert conversation["locale"] == "en"


async def test_telegrams_retries_are_one_message(running: Any, api: BotApi, dialogue: Any) -> None:
    for _ in range(3):
        assert (await post(running, update(1, message=message("hello")))).status == 200
    await post(running, update(2, message=message("hello")))
    await running.posted(2)
    assert running.inbound() == ["hello", "hello"]
    assert len(api.sent()) == len(dialogue.turns) == 2


async def test_an_id_that_comes_with_another_text_is_acknowledged_and_not_kept(
    running: Any, dialogue: Any
) -> None:
    for text in ("hello", "something else"):
        assert (await post(running, update(1, message=message(text)))).status == 200
    await running.posted()
    assert running.inbound() == ["hello"]


async def test_every_bit_of_the_secret_counts(running: Any, dialogue: Any, every_bit: Any) -> None:
    body = json.dumps(update(1, message=message("hello"))).encode()
    for changed in every_bit(SECRET.encode()):
        header = {"X-Telegram-Bot-Api-Secret-Token": changed}
        status = await running.post_bytes("/webhooks/telegram", header, body)
        # Control characters do not even get through as HTTP.
        assert status == (401 if min(changed) >= 32 and 127 not in changed else 400), changed
    for secret in (None, "", SECRET + "x", SECRET[:-1]):
        response = await post(running, body, secret)
        assert response.status == 401
        error = (await response.json())["error"]
        assert error["field"] == "X-Telegram-Bot-Api-Secret-Token"
    assert running.nothing_kept()
    assert dialogue.turns == []


async def test_buttons_go_out_and_presses_come_back(
    running: Any, api: BotApi, dialogue: Any
) -> None:
    buttons = [
        {"title": "Track", "payload": "/track"},
        {"title": "A long one", "payload": LONG_PAYLOAD},
    ]
    dialogue.reply = lambda text: [{"text": "Which one?", "buttons": buttons}]
    await post(running, update(1, message=message("help")))
    await running.posted()
    (sent,) = api.sent()
    rows = json.loads(sent["reply_markup"])["inline_keyboard"]
    assert [row[0]["text"] for row in rows] == ["Track", "A long one"]
    assert rows[0][0]["callback_data"] == "/track"
    long_data = rows[1][0]["callback_data"]
    assert len(long_data.encode()) <= 64

    response = await post(running, press(2, long_data))
    assert response.status == 200
    # The answer to the press rides on the answer to the update.
    assert await response.json() == {
        "method": "answerCallbackQuery",
        "callback_query_id": "query-2",
    }
    await running.posted(2)
    await post(running, press(3, "/track"))
    await running.posted(3)
    assert dialogue.texts == ["help", LONG_PAYLOAD, "/track"]
    # Telegram's retry of a press.
    assert (await post(running, press(3, "/track"))).status == 200
    assert len(running.inbound()) == 3


async def test_a_reference_opens_nobody_elses_button(
    running: Any, api: BotApi, dialogue: Any
) -> None:
    dialogue.reply = lambda text: [
        {"text": "?", "buttons": [{"title": "Long", "payload": LONG_PAYLOAD}]}
    ]
    await post(running, update(1, message=message("help")))
    await running.posted()
    keyboard = json.loads(api.sent()[0]["reply_markup"])["inline_keyboard"]
    data = keyboard[0][0]["callback_data"]
    stranger = {"id": 666, "is_bot": False, "first_name": "Eve"}
    theirs = message("?", chat={"id": 666, "type": "private"})
    forged = press(2, data, **{"from": stranger, "message": theirs})
    assert (await post(running, forged)).status == 200
    assert running.inbound() == ["help"]
    # Nor does a press in a chat that is not the presser's own.
    group = message("?", chat={"id": -5, "type": "group", "title": "All"})
    assert (await post(running, press(3, "/track", message=group))).status == 200
    assert running.inbound() == ["help"]


async def test_a_forgotten_button_says_its_title(running: Any, dialogue: Any) -> None:
    data = "kefu:0123456789abcdef:0"
    markup = {"inline_keyboard": [[{"text": "Track my order", "callback_data": data}]]}
    await post(running, press(1, data, message=message("?", reply_markup=markup)))
    await running.posted()
    assert dialogue.texts == ["Track my order"]


async def test_pictures_go_out_with_their_text(running: Any, api: BotApi, dialogue: Any) -> None:
    dialogue.reply = lambda text: [{"text": "Look", "image": "https://shop.example/a.png"}]
    await post(running, update(1, message=message("show me")))
    await running.posted()
    assert api.sent("sendPhoto", "sendMessage") == [
        {"chat_id": str(CHAT), "photo": "https://shop.example/a.png", "caption": "Look"}
    ]


async def test_a_picture_that_telegram_cannot_get_is_an_address(
    running: Any, api: BotApi, dialogue: Any
) -> None:
    dialogue.reply = lambda text: [{"text": "Look", "image": "https://shop.example/a.png"}]
    api.failures = [(400, {"description": "Bad Request: failed to get HTTP URL content"})]
    await post(running, update(1, message=message("show me")))
    await running.posted()
    assert api.sent() == [{"chat_id": str(CHAT), "text": "Look\nhttps://shop.example/a.png"}]


async def test_a_customers_picture_is_kept(running: Any, api: BotApi) -> None:
    api.files["big"] = PNG
    sizes = [
        {"file_id": id_, "file_unique_id": id_, "width": 9, "height": 9, "file_size": 36}
        for id_ in ("small", "big")
    ]
    await post(running, update(1, message=message(caption="this is broken", photo=sizes)))
    await running.posted()
    assert api.asked_files == ["big"]
    (file,) = running.rows("file")
    assert (file["data"], file["content_type"]) == (PNG, "image/png")
    assert running.inbound() == ["this is broken"]


@pytest.mark.parametrize(
    ("values", "kind", "name"),
    [
        ({"voice": {"duration": 1, "mime_type": "audio/ogg"}}, "audio", "audio-u"),
        ({"document": {"file_name": "invoice.pdf", "mime_type": "application/pdf"}}, "file", None),
        ({"document": {"file_name": "scan.png", "mime_type": "image/png"}}, "image", None),
        ({"video": {"width": 1, "height": 1, "duration": 1}}, "video", "video-u"),
        ({"location": {"latitude": 59.9139, "longitude": 10.7522}}, "location", None),
        ({"contact": {"phone_number": "+4712345678", "first_name": "Ola"}}, "contact", "Ola"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_other_kinds_come_in_as_attachments(
    running: Any, api: BotApi, values: dict[str, Any], kind: str, name: str | None
) -> None:
    (field_,) = values
    if field_ not in ("location", "contact"):
        values[field_] |= {"file_id": "f", "file_unique_id": "u"}
        api.files["f"] = b"%PDF-1.7 ..."
    response = await post(running, update(1, message=message(**values)))
    assert response.status == 200
    (row,) = [row for row in running.rows("message") if row["direction"] == "in"]
    (attachment,) = json.loads(row["attachments"])
    assert attachment["kind"] == kind
    if name is not None:
        assert attachment["name"] == name
    if kind == "location":
        assert attachment["text"] == "59.913900,10.752200"


async def test_a_file_of_ours_goes_out_as_bytes(running: Any, api: BotApi, dialogue: Any) -> None:
    api.files["big"] = PNG
    size = {"file_id": "big", "file_unique_id": "big", "width": 9, "height": 9, "file_size": 36}
    await post(running, update(1, message=message(photo=[size], caption="broken")))
    await running.posted()
    (file,) = running.rows("file")
    (conversation,) = running.rows("conversation")
    kept = {"id": file["id"], "name": "back.png", "kind": "image", "content_type": "image/png"}
    reply = Reply(id="agent-1", text="Like this?", author="agent", attachments=[kept])
    await running.gateway.journal.say(conversation["id"], [reply])
    await running.posted(2)
    assert api.sent()[-1]["text"] == "Like this?"
    (photo,) = api.sent("sendPhoto")
    names = [value for value in photo.values() if isinstance(value, tuple)]
    assert names[0][1] == PNG


async def test_who_is_no_private_customer_is_not_answered(running: Any, dialogue: Any) -> None:
    group = {"id": -100, "type": "supergroup", "title": "Everybody"}
    another_bot = {"id": 9, "is_bot": True, "first_name": "Bot"}
    for number, values in enumerate(
        (
            {"message": message("hello", chat=group)},
            {"message": message("hello", **{"from": another_bot})},
            {"message": message(new_chat_members=[another_bot])},
            {"edited_message": message(location={"latitude": 1.0, "longitude": 2.0})},
            {"poll": {"id": "1"}},
            {"a_kind_that_came_later": {"id": "1"}},
            {"message": {"message_id": "not a message"}},
        )
    ):
        assert (await post(running, update(number, **values))).status == 200
    assert running.nothing_kept()
    assert dialogue.turns == []


async def test_start_says_hello_and_an_edit_is_said_again(running: Any, dialogue: Any) -> None:
    await post(running, update(1, message=message("/start")))
    await post(running, update(2, message=message("/start from-the-shop")))
    await post(running, update(3, edited_message=message("where is HP-1?", edit_date=1700000009)))
    await running.posted(3)
    assert dialogue.texts == ["hello", "hello", "where is HP-1?"]


async def test_a_body_that_is_no_json_is_refused(running: Any) -> None:
    response = await post(running, b"{")
    assert response.status == 400
    assert (await response.json())["error"]["field"] == "body"
    assert (await post(running, b"[" * 10_000)).status == 400
    assert (await post(running, b"x" * 600_000)).status == 413
    assert running.nothing_kept()


async def test_a_rate_limit_is_waited_out(running: Any, api: BotApi, clock: Any) -> None:
    api.failures = [
        (429, {"description": "Too Many Requests", "parameters": {"retry_after": 35}}),
    ]
    await post(running, update(1, message=message("hello")))
    row = await running.tried()
    assert row["next_at"] > (clock.now() + timedelta(seconds=30)).strftime("%Y-%m-%d %H:%M:%S")
    assert len(api.sent()) == 1
    clock.forward(36)
    running.gateway.sender.wake()
    await running.posted()
    assert [sent["text"] for sent in api.sent()] == ["echo hello"] * 2


@pytest.mark.parametrize(
    ("status", "description"),
    [
        (403, "Forbidden: bot was blocked by the user"),
        (403, "Forbidden: user is deactivated"),
        (400, "Bad Request: chat not found"),
    ],
)
async def test_who_blocked_the_bot_is_a_dead_letter(
    running: Any, api: BotApi, status: int, description: str
) -> None:
    api.failures = [(status, {"description": description})]
    await post(running, update(1, message=message("hello")))
    (row,) = await running.posted(state="failed")
    assert description in row["error"]
    assert TOKEN not in row["error"]


@pytest.mark.parametrize(
    ("status", "description"), [(500, "Internal"), (502, "Bad Gateway"), (401, "Unauthorized")]
)
async def test_telegrams_own_trouble_passes(
    running: Any, api: BotApi, clock: Any, status: int, description: str
) -> None:
    api.failures = [(status, {"description": description})]
    await post(running, update(1, message=message("hello")))
    await running.tried()
    clock.forward(3600)
    running.gateway.sender.wake()
    await running.posted()
    assert len(api.sent()) == 2


async def test_without_a_network_it_is_sent_later(
    api: BotApi, start: Start, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("KEFU_TELEGRAM_API_URL", f"http://127.0.0.1:{unused_tcp_port}")
    running = await start()
    assert (await post(running, update(1, message=message("hello")))).status == 200
    row = await running.tried()
    assert "cannot be reached" in row["error"]
    assert TOKEN not in row["error"]


async def test_a_long_text_is_sent_in_parts_and_goes_on_where_it_broke_off(
    running: Any, api: BotApi, dialogue: Any, clock: Any
) -> None:
    long = "\n\n".join(f"Paragraph {number}. " + "word " * 300 for number in range(5))
    buttons = [{"title": "Yes", "payload": "/yes"}]
    dialogue.reply = lambda text: [{"text": long, "buttons": buttons}]
    await post(running, update(1, message=message("tell me all")))
    await running.posted()
    texts = [sent["text"] for sent in api.sent()]
    assert len(texts) == 3
    assert all(len(text) <= 4096 for text in texts)
    assert "".join("".join(texts).split()) == "".join(long.split())
    assert ["reply_markup" in sent for sent in api.sent()] == [False, False, True]

    api.calls.clear()
    # The first part goes through, the second fails once.
    api.failing_methods = ()

    def fail_second() -> None:
        api.failing_methods = ("sendMessage",)
        api.failures = [(500, {"description": "Internal"})]

    result = api._result

    def once(name: str, fields: dict[str, Any]) -> Any:
        if len(api.sent()) == 1:
            fail_second()
        return result(name, fields)

    api._result = once  # type: ignore[method-assign]
    await post(running, update(2, message=message("again")))
    await running.tried()
    clock.forward(3600)
    running.gateway.sender.wake()
    await running.posted(2)
    assert [sent["text"] for sent in api.sent()] == [texts[0], texts[1], texts[1], texts[2]]


async def test_it_is_acknowledged_while_everything_behind_is_down(
    running: Any, api: BotApi, dialogue: Any
) -> None:
    dialogue.open.clear()
    api.failures = [(500, {"description": "down"})] * 5
    response = await post(running, update(1, message=message("hello")))
    assert response.status == 200
    assert running.inbound() == ["hello"]
    assert api.sent() == []


async def test_it_is_not_acknowledged_when_it_cannot_be_stored(running: Any, dialogue: Any) -> None:
    mend = running.break_storage()
    response = await post(running, update(1, message=message("hello")))
    assert response.status == 503
    assert response.headers["Retry-After"]
    mend()
    assert dialogue.turns == []
    assert (await post(running, update(1, message=message("hello")))).status == 200
    await running.posted()
    assert running.inbound() == ["hello"]


async def test_the_webhook_is_registered_at_the_start(
    api: BotApi, start: Start, until: Any
) -> None:
    api.failures = [(500, {"description": "Internal"}), (429, {"description": "Too Many"})]
    await start(public_url="https://chat.shop.example/")
    await until(lambda: len(api.sent("setWebhook")) == 3)
    assert api.failures == []
    assert api.sent("setWebhook")[-1] == {
        "url": "https://chat.shop.example/webhooks/telegram",
        "secret_token": SECRET,
        "allowed_updates": '["message", "edited_message", "callback_query"]',
    }


async def test_telegrams_own_public_address_goes_first(
    api: BotApi, start: Start, monkeypatch: pytest.MonkeyPatch, until: Any
) -> None:
    monkeypatch.setenv("KEFU_TELEGRAM_PUBLIC_URL", "https://hooks.shop.example")
    await start(public_url="https://chat.shop.example")
    await until(lambda: api.sent("setWebhook"))
    assert api.sent("setWebhook")[0]["url"] == "https://hooks.shop.example/webhooks/telegram"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KEFU_TELEGRAM_TOKEN", None),
        ("KEFU_TELEGRAM_TOKEN", "no token"),
        ("KEFU_TELEGRAM_WEBHOOK_SECRET", None),
        ("KEFU_TELEGRAM_WEBHOOK_SECRET", "short"),
        ("KEFU_TELEGRAM_WEBHOOK_SECRET", "not allowed there: $$$$$$$$$"),
    ],
)
async def test_half_a_set_up_names_the_variable(
    api: BotApi, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    wiring: Any = None
    with pytest.raises(SettingError, match=variable):
        open_channel(wiring)


def test_without_settings_the_channel_is_off() -> None:
    wiring: Any = None
    assert open_channel(wiring) is None
