"""WeChat Official Account against a stand-in of its API, with callbacks in the documented form.

https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.wechat import open_channel
from bot.channels.wechat.crypto import Envelope, read_xml, sign, write_xml
from bot.channels.wechat.messages import read_message
from bot.errors import SettingError
from bot.log.records import Reply

PATH = "/webhooks/wechat"
APP_ID, APP_SECRET = "wx5823bf96d3bd56c7", "a secret of the app"
TOKEN = "QDG6eK"
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
OURS, CUSTOMER = "gh_10f6c3c3ac5a", "oyORnuP8q7ou2gfYjqLzSIWZf0rs"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0" * 20
SEALED = Envelope(token=TOKEN, encoding_aes_key=KEY, receiver=APP_ID)

Start = Callable[..., Awaitable[Any]]


@dataclass
class Api:
    """One account's API: tokens that end, messages, media."""

    tokens: list[str] = field(default_factory=list)
    token_requests: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    uploads: list[tuple[str, str, bytes]] = field(default_factory=list)
    media: dict[str, bytes] = field(default_factory=dict)
    url: str = ""

    async def token(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["grant_type"] == "client_credential"
        self.token_requests += 1
        if (body["appid"], body["secret"]) != (APP_ID, APP_SECRET):
            return web.json_response({"errcode": 40125, "errmsg": "invalid appsecret"})
        if not self.tokens:
            self.tokens.append("token-1")
        # Time for the others to ask, if they would.
        await asyncio.sleep(0.02)
        return web.json_response({"access_token": self.tokens[-1], "expires_in": 7200})

    def refused(self, request: web.Request) -> web.Response | None:
        if request.query.get("access_token") != (self.tokens or [None])[-1]:
            return web.json_response({"errcode": 40001, "errmsg": "invalid credential"})
        return None

    async def send(self, request: web.Request) -> web.Response:
        if (refused := self.refused(request)) is not None:
            return refused
        if self.failures:
            code = self.failures.pop(0)
            return web.json_response({"errcode": code, "errmsg": "no rid: 1"})
        raw = await request.read()
        self.raw.append(raw)
        self.sent.append(json.loads(raw))
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    async def upload(self, request: web.Request) -> web.Response:
        if (refused := self.refused(request)) is not None:
            return refused
        form = await request.post()
        file = form["media"]
        assert isinstance(file, web.FileField)
        self.uploads.append((request.query["type"], file.filename, file.file.read()))
        answer = {"type": "image", "media_id": f"up{len(self.uploads)}", "created_at": 1}
        return web.json_response(answer)

    async def get(self, request: web.Request) -> web.Response:
        if (refused := self.refused(request)) is not None:
            return refused
        id_ = request.query["media_id"]
        if id_ not in self.media:
            return web.json_response({"errcode": 40007, "errmsg": "invalid media_id"})
        headers = {"Content-Disposition": f'attachment; filename="{id_}.png"'}
        return web.Response(body=self.media[id_], content_type="image/png", headers=headers)

    async def picture(self, request: web.Request) -> web.Response:
        return web.Response(body=PNG, content_type="image/png")

    def texts(self) -> list[str]:
        return [body["text"]["content"] for body in self.sent if body["msgtype"] == "text"]


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    fake = Api()
    app = web.Application()
    app.router.add_post("/cgi-bin/stable_token", fake.token)
    app.router.add_post("/cgi-bin/message/custom/send", fake.send)
    app.router.add_post("/cgi-bin/media/upload", fake.upload)
    app.router.add_get("/cgi-bin/media/get", fake.get)
    app.router.add_get("/cup.png", fake.picture)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/")).rstrip("/")
        monkeypatch.setenv("KEFU_WECHAT_APP_ID", APP_ID)
        monkeypatch.setenv("KEFU_WECHAT_APP_SECRET", APP_SECRET)
        monkeypatch.setenv("KEFU_WECHAT_TOKEN", TOKEN)
        monkeypatch.setenv("KEFU_WECHAT_ENCODING_AES_KEY", KEY)
        monkeypatch.setenv("KEFU_WECHAT_API_URL", fake.url)
        yield fake


@pytest.fixture
async def running(api: Api, start: Start) -> Any:
    return await start()


@pytest.fixture
async def passive(api: Api, start: Start, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A gateway for an account without the customer-service API."""
    monkeypatch.setenv("KEFU_WECHAT_PASSIVE_REPLY", "on")
    monkeypatch.delenv("KEFU_WECHAT_APP_SECRET")
    monkeypatch.setattr("bot.channels.wechat.WAIT_S", 0.5)
    return await start()


def xml(id_: int, kind: str = "text", **values: str) -> str:
    given: dict[str, str | int] = {
        "ToUserName": OURS,
        "FromUserName": CUSTOMER,
        "CreateTime": 1348831860,
        "MsgType": kind,
    }
    return write_xml(given | values | ({} if kind == "event" else {"MsgId": id_}))


def query(*signed: str, now_s: int | None = None, nonce: str = "1372623149") -> dict[str, str]:
    timestamp = str(int(time.time()) if now_s is None else now_s)
    given = {"timestamp": timestamp, "nonce": nonce, "openid": CUSTOMER}
    given["signature"] = sign(TOKEN, timestamp, nonce)
    if signed:
        given["encrypt_type"] = "aes"
        given["msg_signature"] = sign(TOKEN, timestamp, nonce, *signed)
    return given


def sealed(text: str) -> tuple[dict[str, str], str]:
    """A callback of the safe mode: its query and its body."""
    ciphertext = SEALED.close(text.encode())
    return query(ciphertext), write_xml({"ToUserName": OURS, "Encrypt": ciphertext})


async def post(running: Any, text: str) -> tuple[int, str]:
    asked, body = sealed(text)
    response = await running.client.post(PATH, params=asked, data=body.encode())
    return response.status, await response.text()


async def test_the_address_is_verified(running: Any) -> None:
    asked = query() | {"echostr": "5561238"}
    response = await running.client.get(PATH, params=asked)
    assert (response.status, await response.text()) == (200, "5561238")
    wrong = asked | {"signature": sign("another", asked["timestamp"], asked["nonce"])}
    assert (await running.client.get(PATH, params=wrong)).status == 401
    old = query(now_s=int(time.time()) - 301) | {"echostr": "1"}
    assert (await running.client.get(PATH, params=old)).status == 401


async def test_a_message_is_answered_by_customer_service(
    running: Any, api: Api, dialogue: Any
) -> None:
    assert await post(running, xml(1, Content="你好, where is it?")) == (200, "success")
    await running.posted()
    assert dialogue.texts == ["你好, where is it?"]
    (sent,) = api.sent
    content = {"content": "echo 你好, where is it?"}
    assert sent == {"touser": CUSTOMER, "msgtype": "text", "text": content}
    assert "你好".encode() in api.raw[0]


async def test_three_tries_are_one_message_and_events_are_known_by_their_moment(
    running: Any, api: Api, dialogue: Any
) -> None:
    click = xml(0, "event", Event="CLICK", EventKey="track my order")
    for _ in range(3):
        for callback in (xml(7, Content="hi"), click, xml(0, "event", Event="subscribe")):
            assert await post(running, callback) == (200, "success")
    for ignored in ("VIEW", "unsubscribe", "LOCATION"):
        callback = xml(0, "event", Event=ignored, EventKey="https://shop.example")
        assert await post(running, callback) == (200, "success")
    await running.posted(3)
    assert dialogue.texts == ["hi", "track my order", "hello"]


async def test_an_id_with_another_text_is_acknowledged_and_changes_nothing(
    running: Any, dialogue: Any
) -> None:
    for text in ("hi", "bye", "hi"):
        assert await post(running, xml(7, Content=text)) == (200, "success")
    await running.posted()
    assert running.inbound() == dialogue.texts == ["hi"]


async def test_plain_callbacks_count_only_where_no_key_is_set(
    api: Api, start: Start, dialogue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = xml(1, Content="plain").encode()
    safe = await start()
    assert (await safe.client.post(PATH, params=query(), data=body)).status == 401
    assert safe.nothing_kept()
    monkeypatch.delenv("KEFU_WECHAT_ENCODING_AES_KEY")
    plain = await start()
    response = await plain.client.post(PATH, params=query(), data=body)
    assert (response.status, await response.text()) == (200, "success")
    await plain.posted()
    assert dialogue.texts == ["plain"]


async def test_every_changed_bit_is_401_and_leaves_nothing(
    running: Any, every_bit: Callable[[bytes], Any]
) -> None:
    asked, body = sealed(xml(1, Content="hi"))
    raw = body.encode()
    start, end = raw.index(b"<Encrypt><![CDATA[") + 18, raw.index(b"]]></Encrypt>")
    address = f"{PATH}?" + "&".join(f"{name}={quote(value)}" for name, value in asked.items())
    for changed in every_bit(raw[start:end]):
        status = await running.post_bytes(address, {}, raw[:start] + changed + raw[end:])
        # A bit can make markup of a letter, or end the text: that is no XML any more.
        assert status in (400, 401), changed
        assert status == 401 or not changed.isalnum()
    for name in ("signature", "msg_signature", "timestamp", "nonce"):
        for changed in every_bit(asked[name].encode()):
            other = asked | {name: changed.decode("latin-1")}
            address = f"{PATH}?" + "&".join(
                f"{key}={quote(value.encode('latin-1'))}" for key, value in other.items()
            )
            assert await running.post_bytes(address, {}, raw) == 401
    assert running.nothing_kept()


async def test_old_timestamps_are_401_and_leave_nothing(running: Any) -> None:
    ciphertext = SEALED.close(xml(1, Content="hi").encode())
    body = write_xml({"Encrypt": ciphertext}).encode()
    for off_s in (-301, -86_400, 301):
        asked = query(ciphertext, now_s=int(time.time()) + off_s)
        assert (await running.client.post(PATH, params=asked, data=body)).status == 401
    assert running.nothing_kept()


async def test_a_document_type_is_refused_before_anything_is_decrypted(running: Any) -> None:
    body = b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><Encrypt>&a;</Encrypt></xml>'
    assert (await running.client.post(PATH, params=query("x"), data=body)).status == 400
    large = b"<xml>" + b" " * 70_000 + b"</xml>"
    assert (await running.client.post(PATH, params=query("x"), data=large)).status == 413
    assert running.nothing_kept()


async def test_storage_that_fails_is_not_acknowledged(running: Any, api: Api) -> None:
    mend = running.break_storage()
    status, _ = await post(running, xml(1, Content="hi"))
    assert status == 503
    mend()
    assert await post(running, xml(1, Content="hi")) == (200, "success")
    await running.posted()


async def test_acknowledged_at_once_while_everything_behind_is_down(
    running: Any, dialogue: Any
) -> None:
    dialogue.open.clear()
    started_s = time.perf_counter()
    assert await post(running, xml(1, Content="hi")) == (200, "success")
    assert time.perf_counter() - started_s < 0.5
    assert running.inbound() == ["hi"]


async def test_one_token_request_serves_all_and_a_refused_token_is_renewed_once(
    running: Any, api: Api
) -> None:
    for number in range(8):
        await post(running, xml(number, FromUserName=f"o{number}", Content="hi"))
    await running.posted(8)
    assert api.token_requests == 1
    api.tokens.append("token-2")
    for number in range(8):
        await post(running, xml(100 + number, FromUserName=f"o{number}", Content="hi"))
    await running.posted(16)
    assert api.token_requests == 2
    assert len(api.sent) == 16


async def test_a_wrong_secret_keeps_messages_waiting(
    api: Api, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_WECHAT_APP_SECRET", "wrong")
    running = await start()
    await post(running, xml(1, Content="hi"))
    row = await running.tried()
    assert "40125" in row["error"]


async def test_after_48_hours_it_is_a_dead_letter(running: Any, api: Api) -> None:
    api.failures.append(45015)
    await post(running, xml(1, Content="hi"))
    (row,) = await running.posted(1, "failed")
    assert "48 hours" in row["error"]


@pytest.mark.parametrize("code", [-1, 45009])
async def test_limits_and_faults_are_waited_out(
    running: Any, api: Api, clock: Any, code: int
) -> None:
    api.failures.append(code)
    await post(running, xml(1, Content="hi"))
    await running.tried()
    clock.forward(200)
    running.gateway.journal.on_outbox()
    (row,) = await running.posted()
    assert (row["attempts"], len(api.sent)) == (2, 1)


async def test_what_the_quota_held_back_goes_out_when_the_customer_writes(
    running: Any, api: Api
) -> None:
    api.failures.append(45047)
    await post(running, xml(1, Content="one"))
    await running.tried()
    await post(running, xml(2, Content="two"))
    await running.posted(2)
    assert api.texts() == ["echo one", "echo two"]


async def test_buttons_are_numbers_and_long_texts_are_cut_by_bytes(
    running: Any, api: Api, dialogue: Any
) -> None:
    buttons = [{"title": "订单", "payload": "/track"}, {"title": "退货", "payload": "/return"}]
    dialogue.reply = lambda said: [{"text": "好" * 1500, "buttons": buttons}]
    await post(running, xml(1, Content="hi"))
    await running.posted()
    assert len(api.sent) == 3
    assert all(len(text.encode()) <= 2048 for text in api.texts())
    assert api.texts()[-1].endswith("1. 订单\n2. 退货")
    await post(running, xml(2, Content="2"))
    await running.posted(2)
    assert dialogue.texts == ["hi", "/return"]


async def test_pictures_go_as_media_and_by_address_where_they_cannot_be_had(
    running: Any, api: Api, dialogue: Any
) -> None:
    images = {"one": f"{api.url}/cup.png", "two": f"{api.url}/gone.png"}
    dialogue.reply = lambda said: [{"text": "A cup", "image": images[said]}]
    await post(running, xml(1, Content="one"))
    await running.posted()
    assert api.uploads == [("image", "image.png", PNG)]
    assert api.sent[1] == {"touser": CUSTOMER, "msgtype": "image", "image": {"media_id": "up1"}}
    await post(running, xml(2, Content="two"))
    await running.posted(2)
    assert api.texts()[-1] == images["two"]


async def test_a_customers_picture_is_fetched_and_voice_comes_with_its_words(
    running: Any, api: Api, dialogue: Any
) -> None:
    api.media["m1"] = PNG
    await post(running, xml(1, "image", MediaId="m1", PicUrl="http://mmbiz.qpic.cn/x"))
    await post(running, xml(2, "voice", MediaId="gone", Format="amr", Recognition="退货"))
    await running.posted(2)
    (file,) = running.rows("file")
    assert (file["content_type"], bytes(file["data"])) == ("image/png", PNG)
    assert running.inbound()[1] == "退货"
    rows = [row for row in running.rows("message") if row["direction"] == "in"]
    assert "40007" in json.loads(rows[1]["attachments"])[0]["missing"]


async def test_a_passive_reply_is_encrypted_and_the_same_for_every_try(
    passive: Any, dialogue: Any
) -> None:
    answers = []
    for _ in range(3):
        status, body = await post(passive, xml(1, Content="hi"))
        assert status == 200
        outer = read_xml(body.encode())
        signed = {
            "msg_signature": outer["MsgSignature"],
            "timestamp": outer["TimeStamp"],
            "nonce": outer["Nonce"],
        }
        now = datetime.now(UTC)
        inner = read_xml(SEALED.open(signed, outer["Encrypt"], now))
        assert (inner["ToUserName"], inner["FromUserName"]) == (CUSTOMER, OURS)
        answers.append((inner["MsgType"], inner["Content"]))
    assert answers == [("text", "echo hi")] * 3
    (row,) = await passive.posted()
    assert row["state"] == "sent"
    assert len(dialogue.turns) == 1


async def test_a_late_passive_answer_goes_with_the_next(
    api: Api, passive: Any, dialogue: Any, until: Any
) -> None:
    dialogue.open.clear()
    assert await post(passive, xml(1, Content="one")) == (200, "success")
    dialogue.open.set()
    await until(lambda: passive.rows("outbox"))
    assert await content_of(passive, xml(2, Content="two")) == "echo one\n\necho two"
    await passive.posted(2)
    assert api.sent == []
    assert api.token_requests == 0


async def test_a_passive_answer_links_an_agents_file(
    api: Api, start: Start, monkeypatch: pytest.MonkeyPatch, dialogue: Any
) -> None:
    monkeypatch.setenv("KEFU_WECHAT_PASSIVE_REPLY", "on")
    running = await start(public_url="https://chat.shop.example")
    assert await content_of(running, xml(1, Content="one")) == "echo one"
    file = {"id": "f1", "kind": "file", "name": "bill.pdf", "content_type": "application/pdf"}
    (row,) = running.rows("conversation")
    await running.gateway.journal.say(
        row["id"], [Reply(id="r1", author="agent", attachments=[file])]
    )
    said = await content_of(running, xml(2, Content="two"))
    assert said.startswith("bill.pdf: https://chat.shop.example/api/v1/files/f1?expires=")
    assert said.endswith("\n\necho two")


async def test_a_passive_answer_stays_within_its_bytes(passive: Any, dialogue: Any) -> None:
    dialogue.reply = lambda said: [{"text": "好" * 600}, {"text": "是" * 900}, {"text": "end"}]
    assert await content_of(passive, xml(1, Content="one")) == "好" * 600
    dialogue.reply = lambda said: []
    cut = await content_of(passive, xml(2, Content="two"))
    assert cut.startswith("是")
    assert cut.endswith("…")
    assert 2000 < len(cut.encode()) <= 2048
    assert await content_of(passive, xml(3, Content="three")) == "end"


async def content_of(passive: Any, text: str) -> str:
    """What a passive reply says."""
    status, body = await post(passive, text)
    assert status == 200
    outer = read_xml(body.encode())
    signed = {"msg_signature": outer["MsgSignature"]}
    signed |= {"timestamp": outer["TimeStamp"], "nonce": outer["Nonce"]}
    now = datetime.now(UTC)
    return read_xml(SEALED.open(signed, outer["Encrypt"], now))["Content"]


@pytest.mark.parametrize("variable", ["APP_ID", "APP_SECRET", "TOKEN"])
def test_half_set_up_names_the_variable(
    api: Api, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    wiring: Any = None
    monkeypatch.delenv(f"KEFU_WECHAT_{variable}")
    with pytest.raises(SettingError, match=f"KEFU_WECHAT_{variable}"):
        open_channel(wiring)


def test_a_key_of_another_form_is_named(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    wiring: Any = None
    monkeypatch.setenv("KEFU_WECHAT_ENCODING_AES_KEY", "short")
    with pytest.raises(SettingError, match=r"KEFU_WECHAT_ENCODING_AES_KEY.*43"):
        open_channel(wiring)


def test_without_settings_the_channel_is_off() -> None:
    wiring: Any = None
    assert open_channel(wiring) is None


@given(
    st.dictionaries(
        st.sampled_from(
            ["FromUserName", "MsgType", "MsgId", "Content", "Event", "EventKey", "MediaId", "Label"]
        ),
        st.text(max_size=10) | st.sampled_from(["text", "event", "image", "location", "click"]),
    )
)
def test_no_fields_break_the_reading(fields: dict[str, str]) -> None:
    received = read_message(fields, "hello")
    assert received is None or (received.account and received.message_id)
