"""WeCom's customer service against a stand-in of its API, with callbacks in the documented form.

https://developer.work.weixin.qq.com/document/path/94670 (messages and events), 94677 (sending)
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.wechat.crypto import Envelope, sign, write_xml
from bot.channels.wecom import open_channel
from bot.channels.wecom.messages import msgid_of, outgoing_of, read_content, render_words
from bot.errors import SettingError

PATH = "/webhooks/wecom"
CORP, SECRET = "wx5823bf96d3bd56c7", "a secret of the app"
TOKEN = "QDG6eK"
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
KF, CUSTOMER = "wkAJ2GCAAASSm4_FhToWMFea0xAFfd3Q", "wmAJ2GCAAAme1XQRC-NI-q0_ZM9ukoAw"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0" * 20
SEALED = Envelope(token=TOKEN, encoding_aes_key=KEY, receiver=CORP)
# The address check of WeCom's own sample.
ECHO = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="

Start = Callable[..., Awaitable[Any]]


@dataclass
class Api:
    """One company's API: the list of messages in pages, sending, media."""

    items: list[dict[str, Any]] = field(default_factory=list)
    page: int = 1000
    syncs: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=lambda: ["access-1"])
    token_requests: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)
    greeted: list[dict[str, Any]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    lost_answers: int = 0
    sync_failures: list[int] = field(default_factory=list)
    uploads: list[tuple[str, bytes]] = field(default_factory=list)
    media: dict[str, bytes] = field(default_factory=dict)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def token(self, request: web.Request) -> web.Response:
        self.token_requests += 1
        if request.query["corpsecret"] != SECRET or request.query["corpid"] != CORP:
            return web.json_response({"errcode": 40001, "errmsg": "invalid credential"})
        await asyncio.sleep(0.01)
        answer = {"errcode": 0, "errmsg": "ok", "access_token": self.tokens[-1]}
        return web.json_response(answer | {"expires_in": 7200})

    def failure(self, request: web.Request, codes: list[int]) -> web.Response | None:
        code = codes.pop(0) if codes else 0
        if request.query.get("access_token") != self.tokens[-1]:
            code = 42001
        if not code:
            return None
        return web.json_response({"errcode": code, "errmsg": "no"})

    async def sync(self, request: web.Request) -> web.Response:
        await self.up.wait()
        if (failed := self.failure(request, self.sync_failures)) is not None:
            return failed
        asked = await request.json()
        self.syncs.append(asked)
        start = int(asked.get("cursor", "c0")[1:])
        end = min(start + min(self.page, asked["limit"]), len(self.items))
        answer = {"errcode": 0, "errmsg": "ok", "next_cursor": f"c{end}"}
        answer |= {"has_more": int(end < len(self.items)), "msg_list": self.items[start:end]}
        return web.json_response(answer)

    async def send(self, request: web.Request) -> web.Response:
        if (failed := self.failure(request, self.failures)) is not None:
            return failed
        body = await request.json()
        if body["msgid"] in [one["msgid"] for one in self.sent]:
            return web.json_response({"errcode": 40058, "errmsg": "msgid used"})
        self.sent.append(body)
        if self.lost_answers:
            self.lost_answers -= 1
            return web.Response(status=502)
        return web.json_response({"errcode": 0, "errmsg": "ok", "msgid": body["msgid"]})

    async def greet(self, request: web.Request) -> web.Response:
        self.greeted.append(await request.json())
        return web.json_response({"errcode": 0, "errmsg": "ok", "msgid": "x"})

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["media"]
        assert isinstance(file, web.FileField)
        self.uploads.append((request.query["type"], file.file.read()))
        return web.json_response({"errcode": 0, "media_id": f"up{len(self.uploads)}"})

    async def get(self, request: web.Request) -> web.Response:
        data = self.media[request.query["media_id"]]
        return web.Response(body=data, content_type="image/png")

    async def picture(self, request: web.Request) -> web.Response:
        return web.Response(body=PNG, content_type="image/png")

    def say(self, id_: str, said: str = "", **values: Any) -> None:
        """A customer says something."""
        given = {
            "msgid": id_,
            "open_kfid": KF,
            "external_userid": CUSTOMER,
            "send_time": int(time.time()),
            "origin": 3,
            "msgtype": "text",
        }
        self.items.append(given | ({"text": {"content": said}} if said else {}) | values)

    def happen(self, kind: str, **values: Any) -> None:
        """An event in the list."""
        event = {"event_type": kind, "open_kfid": KF, "external_userid": CUSTOMER} | values
        self.say(f"event{len(self.items)}", origin=4, msgtype="event", event=event)

    def texts(self) -> list[str]:
        return [body["text"]["content"] for body in self.sent if body["msgtype"] == "text"]


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    fake = Api()
    fake.up.set()
    app = web.Application()
    app.router.add_get("/cgi-bin/gettoken", fake.token)
    app.router.add_post("/cgi-bin/kf/sync_msg", fake.sync)
    app.router.add_post("/cgi-bin/kf/send_msg", fake.send)
    app.router.add_post("/cgi-bin/kf/send_msg_on_event", fake.greet)
    app.router.add_post("/cgi-bin/media/upload", fake.upload)
    app.router.add_get("/cgi-bin/media/get", fake.get)
    app.router.add_get("/cup.png", fake.picture)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/")).rstrip("/")
        monkeypatch.setenv("KEFU_WECOM_CORP_ID", CORP)
        monkeypatch.setenv("KEFU_WECOM_SECRET", SECRET)
        monkeypatch.setenv("KEFU_WECOM_TOKEN", TOKEN)
        monkeypatch.setenv("KEFU_WECOM_ENCODING_AES_KEY", KEY)
        monkeypatch.setenv("KEFU_WECOM_API_URL", fake.url)
        yield fake
        fake.up.set()


@pytest.fixture
async def running(api: Api, start: Start) -> Any:
    return await start()


def query(ciphertext: str, now_s: int | None = None) -> dict[str, str]:
    timestamp, nonce = str(int(time.time()) if now_s is None else now_s), "1372623149"
    signature = sign(TOKEN, timestamp, nonce, ciphertext)
    return {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}


def notice(token: str = "ENCApHxnGDNAVNY4AaSJKj4Tb5mwsEMzxhFmHVGcra996NR") -> str:
    """The callback's ciphertext: there is something to read."""
    event = {
        "ToUserName": CORP,
        "CreateTime": 1348831860,
        "MsgType": "event",
        "Event": "kf_msg_or_event",
        "Token": token,
        "OpenKfId": KF,
    }
    return SEALED.close(write_xml(event).encode())


async def call(running: Any, ciphertext: str | None = None) -> int:
    ciphertext = notice() if ciphertext is None else ciphertext
    body = write_xml({"ToUserName": CORP, "AgentID": "218", "Encrypt": ciphertext})
    response = await running.client.post(PATH, params=query(ciphertext), data=body.encode())
    return int(response.status)


def cursors(running: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(running.path)) as connection:
        return connection.execute("SELECT account, value, token FROM channel_cursor").fetchall()


async def test_wecoms_sample_of_the_address_check_is_answered(running: Any, clock: Any) -> None:
    sample = {
        "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
        "timestamp": "1409659589",
        "nonce": "263014780",
        "echostr": ECHO,
    }
    assert (await running.client.get(PATH, params=sample)).status == 401
    clock.forward(1409659589 - time.time())
    response = await running.client.get(PATH, params=sample)
    assert (response.status, await response.text()) == (200, "1616140317555161061")


async def test_a_message_is_read_and_answered(running: Any, api: Api, dialogue: Any) -> None:
    api.say("m1", "你好")
    assert await call(running) == 200
    await running.posted()
    assert dialogue.texts == ["你好"]
    (sent,) = api.sent
    assert (sent["touser"], sent["open_kfid"]) == (CUSTOMER, KF)
    assert sent["text"] == {"content": "echo 你好"}
    assert outgoing_of(sent["msgid"]) == running.rows("outbox")[0]["id"]
    assert api.syncs[0]["token"].startswith("ENCApHxn")
    assert "cursor" not in api.syncs[0]
    assert api.token_requests == 1


async def test_pages_are_read_to_the_end_once_and_in_order(
    running: Any, api: Api, dialogue: Any
) -> None:
    api.page = 2
    said = [f"part {number}" for number in range(5)]
    for number, text in enumerate(said):
        api.say(f"m{number}", text)
    assert [await call(running) for _ in range(3)] == [200] * 3
    await running.posted(5)
    api.say("m5", "more")
    assert await call(running) == 200
    await running.posted(6)
    assert running.inbound() == [*said, "more"]
    assert [body["text"]["content"] for body in api.sent] == [
        f"echo {one}" for one in [*said, "more"]
    ]
    assert [row[:2] for row in cursors(running)] == [(KF, "c6")]


async def test_what_people_and_the_platform_say_is_not_the_customer(running: Any, api: Api) -> None:
    api.say("a", "from a colleague", origin=5, servicer_userid="Zhangsan")
    api.say("b", "without a customer", external_userid="")
    api.happen("session_status_change", change_type=1)
    api.say("c", "hello")
    assert await call(running) == 200
    await running.posted()
    assert running.inbound() == ["hello"]
    other = SEALED.close(write_xml({"MsgType": "text", "Content": "an employee"}).encode())
    assert await call(running, other) == 200
    assert running.inbound() == ["hello"]


async def test_acknowledged_at_once_while_wecom_and_everything_behind_is_down(
    running: Any, api: Api, dialogue: Any
) -> None:
    dialogue.open.clear()
    api.up.clear()
    api.say("m1", "hello")
    started_s = time.perf_counter()
    assert await call(running) == 200
    assert time.perf_counter() - started_s < 0.5
    ((account, value, token),) = cursors(running)
    assert (account, value[:6]) == (KF, "since:")
    assert token


async def test_what_was_noted_is_read_after_a_restart(
    api: Api, start: Start, dialogue: Any, clock: Any
) -> None:
    first = await start()
    api.up.clear()
    api.say("m1", "hello")
    assert await call(first) == 200
    await first.client.close()
    # The token of the notice is too old by now.
    clock.forward(3600)
    api.up.set()
    second = await start()
    await second.posted()
    assert second.inbound() == ["hello"]
    assert "token" not in api.syncs[-1]


async def test_what_came_while_no_gateway_ran_is_read_at_the_start(
    api: Api, start: Start, dialogue: Any
) -> None:
    first = await start()
    api.say("m1", "hello")
    assert await call(first) == 200
    await first.posted()
    await first.client.close()
    api.say("m2", "are you there?", send_time=int(time.time()) - 7200)
    second = await start()
    await second.posted(2)
    assert second.inbound() == ["hello", "are you there?"]


async def test_a_lost_cursor_doubles_nothing(api: Api, start: Start, dialogue: Any) -> None:
    first = await start()
    api.say("m1", "hello")
    assert await call(first) == 200
    await first.posted()
    await first.client.close()
    with closing(sqlite3.connect(first.path, isolation_level=None)) as connection:
        connection.execute("UPDATE channel_cursor SET value = 'since:0'")
    api.say("m2", "more")
    second = await start()
    await second.posted(2)
    assert second.inbound() == ["hello", "more"]
    assert len(dialogue.turns) == 2


async def test_two_gateways_read_the_same_list_and_keep_each_message_once(
    api: Api, start: Start, dialogue: Any
) -> None:
    one, two = await start(), await start()
    api.page = 3
    for number in range(20):
        api.say(f"m{number}", f"part {number}", external_userid=f"wm{number % 4}")
    assert await asyncio.gather(call(one), call(two), call(one), call(two)) == [200] * 4
    await one.posted(20)
    assert sorted(one.inbound()) == sorted(f"part {number}" for number in range(20))
    assert len(api.sent) == 20


async def test_history_from_before_the_set_up_is_not_answered(running: Any, api: Api) -> None:
    api.say("old", "two days ago", send_time=int(time.time()) - 2 * 86_400)
    api.say("new", "hello")
    assert await call(running) == 200
    await running.posted()
    assert running.inbound() == ["hello"]


async def test_reading_survives_failures_of_the_api_and_of_the_storage(
    running: Any, api: Api, until: Any
) -> None:
    api.sync_failures += [-1, 45009, 60020]
    api.say("m1", "hello")
    assert await call(running) == 200
    await running.posted()
    mend = running.break_storage()
    api.say("m2", "more")
    assert await call(running) == 200
    seen = len(api.syncs)
    await until(lambda: len(api.syncs) > seen + 2)
    mend()
    await running.posted(2)
    assert running.inbound() == ["hello", "more"]


async def test_a_notice_that_cannot_be_stored_is_not_acknowledged(running: Any, api: Api) -> None:
    with closing(sqlite3.connect(running.path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE channel_cursor RENAME TO away")
        assert await call(running) == 503
        connection.execute("ALTER TABLE away RENAME TO channel_cursor")
    api.say("m1", "hello")
    assert await call(running) == 200
    await running.posted()


async def test_every_changed_bit_is_401_and_leaves_nothing(
    running: Any, api: Api, every_bit: Callable[[bytes], Any]
) -> None:
    ciphertext = notice()
    asked = query(ciphertext)
    raw = write_xml({"ToUserName": CORP, "Encrypt": ciphertext}).encode()
    start, end = raw.index(ciphertext.encode()), raw.index(b"]]></Encrypt>")
    address = f"{PATH}?" + "&".join(f"{name}={quote(value)}" for name, value in asked.items())
    for changed in every_bit(raw[start:end]):
        status = await running.post_bytes(address, {}, raw[:start] + changed + raw[end:])
        # A bit can make markup of a letter, or end the text: that is no XML any more.
        assert status == 401 or (status == 400 and not changed.isalnum())
    for name, value in asked.items():
        for changed in every_bit(value.encode()):
            other = asked | {name: changed.decode("latin-1")}
            address = f"{PATH}?" + "&".join(
                f"{key}={quote(text.encode('latin-1'))}" for key, text in other.items()
            )
            assert await running.post_bytes(address, {}, raw) == 401
    for off_s in (-301, 301):
        old = query(ciphertext, int(time.time()) + off_s)
        assert (await running.client.post(PATH, params=old, data=raw)).status == 401
    assert running.nothing_kept()
    assert cursors(running) == []
    assert api.syncs == []


async def test_menus_are_pressed_and_numbers_are_a_way_too(
    running: Any, api: Api, dialogue: Any
) -> None:
    buttons = [
        {"title": "订单", "payload": "/track"},
        {"title": "退货", "payload": '/inform{"topic": "' + "x" * 80 + '"}'},
    ]
    dialogue.reply = lambda said: [{"text": "Which?", "buttons": buttons}]
    api.say("m1", "hi")
    assert await call(running) == 200
    await running.posted()
    (sent,) = api.sent
    assert sent["msgmenu"]["head_content"] == "Which?"
    clicks = [item["click"] for item in sent["msgmenu"]["list"]]
    assert [click["content"] for click in clicks] == ["订单", "退货"]
    assert all(len(click["id"].encode()) <= 64 for click in clicks)
    for number, click in enumerate(clicks):
        api.say(f"p{number}", text={"content": click["content"], "menu_id": click["id"]})
    api.say("n", "2")
    assert await call(running) == 200
    await running.posted(4)
    assert dialogue.texts == ["hi", "/track", buttons[1]["payload"], buttons[1]["payload"]]


async def test_pictures_both_ways(running: Any, api: Api, dialogue: Any) -> None:
    dialogue.reply = lambda said: [{"text": "A cup", "image": f"{api.url}/cup.png"}]
    api.media["m1"] = PNG
    api.say("i1", msgtype="image", image={"media_id": "m1"})
    assert await call(running) == 200
    await running.posted()
    (file,) = running.rows("file")
    assert bytes(file["data"]) == PNG
    api.sent.clear()
    api.say("m2", "show me a cup")
    assert await call(running) == 200
    await running.posted(2)
    assert api.uploads == [("image", PNG)]
    assert [body["msgtype"] for body in api.sent] == ["image", "text"]
    assert len({body["msgid"] for body in api.sent}) == 2


async def test_after_48_hours_and_with_a_person_it_is_a_dead_letter(running: Any, api: Api) -> None:
    for number, code in enumerate((95002, 95018)):
        api.failures.append(code)
        api.say(f"m{number}", "hi")
        assert await call(running) == 200
        rows = await running.posted(number + 1, "failed")
        assert str(code) in rows[-1]["error"]


async def test_the_sixth_answer_waits_for_the_customers_next_message(
    running: Any, api: Api, dialogue: Any
) -> None:
    dialogue.reply = lambda said: [{"text": f"{said} {number}"} for number in range(6)]
    api.failures += [0, 0, 0, 0, 0, 95001]
    api.say("m1", "a")
    assert await call(running) == 200
    await running.posted(5)
    await running.tried()
    dialogue.reply = lambda said: [{"text": "b"}]
    api.say("m2", "b")
    assert await call(running) == 200
    await running.posted(7)
    assert api.texts() == ["a 0", "a 1", "a 2", "a 3", "a 4", "a 5", "b"]


async def test_a_reported_failure_becomes_a_dead_letter(running: Any, api: Api) -> None:
    api.say("m1", "hi")
    assert await call(running) == 200
    await running.posted()
    api.happen("msg_send_fail", fail_msgid=api.sent[0]["msgid"], fail_type=4)
    assert await call(running) == 200
    (row,) = await running.posted(1, "failed")
    assert "48 hours" in row["error"]


async def test_a_lost_acknowledgement_doubles_nothing(running: Any, api: Api, clock: Any) -> None:
    api.lost_answers = 1
    api.say("m1", "hi")
    assert await call(running) == 200
    await running.tried()
    clock.forward(200)
    running.gateway.journal.on_outbox()
    (row,) = await running.posted(1, "failed")
    assert "msgid used" in row["error"]
    assert api.texts() == ["echo hi"]


async def test_a_token_that_ended_is_renewed_once(running: Any, api: Api) -> None:
    api.say("m1", "hi")
    assert await call(running) == 200
    await running.posted()
    api.tokens.append("access-2")
    for number in range(6):
        api.say(f"n{number}", "hi", external_userid=f"wm{number}")
    assert await call(running) == 200
    await running.posted(7)
    assert api.token_requests == 2


async def test_who_comes_in_is_greeted(
    api: Api, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_WECOM_WELCOME", "Welcome to Harbour & Pine!")
    running = await start()
    api.happen("enter_session", welcome_code="CODE", scene="1")
    api.say("m1", "hi")
    assert await call(running) == 200
    await running.posted()
    (greeted,) = api.greeted
    assert (greeted["code"], greeted["text"]["content"]) == ("CODE", "Welcome to Harbour & Pine!")


@pytest.mark.parametrize("variable", ["CORP_ID", "SECRET", "TOKEN", "ENCODING_AES_KEY"])
def test_half_set_up_names_the_variable(
    api: Api, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    wiring: Any = None
    monkeypatch.delenv(f"KEFU_WECOM_{variable}")
    with pytest.raises(SettingError, match=f"KEFU_WECOM_{variable}"):
        open_channel(wiring)


def test_eleven_choices_and_long_ones_are_numbered_lines(outgoing: Any) -> None:
    many = [{"title": f"Choice {n}", "payload": f"/{n}"} for n in range(11)]
    (numbered,) = render_words(outgoing(text="Which?", buttons=many))
    assert numbered["text"]["content"].endswith("11. Choice 10")
    long = [{"title": "长" * 43, "payload": "/x"}]
    (numbered,) = render_words(outgoing(buttons=long))
    assert numbered["msgtype"] == "text"
    pieces = render_words(outgoing(text="好" * 1500, buttons=many[:2]))
    assert all(len(piece["text"]["content"].encode()) <= 2048 for piece in pieces[:-1])
    assert len(pieces[-1]["msgmenu"]["head_content"].encode()) <= 1024


@given(st.text(min_size=1, max_size=60), st.integers(0, 40))
def test_message_ids_are_of_wecoms_form_and_stay_the_same(id_: str, index: int) -> None:
    msgid = msgid_of(id_, index)
    assert len(msgid) <= 32
    assert msgid.isascii()
    assert msgid.replace("_", "").replace("-", "").isalnum()
    assert msgid == msgid_of(id_, index)
    assert outgoing_of(msgid) in (id_, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(["text", "image", "location", "link", "file"]), json_values)
def test_no_form_of_an_item_breaks_the_reading(kind: str, content: Any) -> None:
    text, pressed, attachments = read_content({"msgtype": kind, kind: content})
    assert isinstance(text, str)
    assert pressed is None or pressed
    json.dumps(attachments)
