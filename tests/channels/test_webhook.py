"""The signed webhook, with a server on the other side that checks as the docs tell it to."""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.channels.signatures import kefu_signature
from bot.channels.webhook import open_channel
from bot.errors import SettingError
from bot.log.records import Reply

SECRET = "a-secret-of-the-tests-0123456789abcdef"
OLD_SECRET = "the-one-before-0123456789abcdef0123456"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0" * 20

PAGE = Path(__file__).parents[2] / "docs" / "channels" / "webhook.md"

Start = Callable[..., Awaitable[Any]]


@dataclass
class Site:
    """The site's server; `failures` are answered before anything succeeds."""

    posts: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    failures: list[web.Response] = field(default_factory=list)
    base: str = ""

    async def callback(self, request: web.Request) -> web.Response:
        raw = await request.read()
        stamp = request.headers["Kefu-Timestamp"]
        expected = (
            "v1=" + hmac.new(SECRET.encode(), stamp.encode() + b"." + raw, "sha256").hexdigest()
        )
        assert expected in request.headers["Kefu-Signature"].split(",")
        self.posts.append(json.loads(raw))
        self.headers.append(request.headers)
        return self.failures.pop(0) if self.failures else web.Response(status=204)

    async def file(self, request: web.Request) -> web.Response:
        return web.Response(body=PNG, content_type="image/png")

    async def away(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/files/a.png")


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    fake = Site()
    app = web.Application()
    app.router.add_post("/kefu", fake.callback)
    app.router.add_get("/files/a.png", fake.file)
    app.router.add_get("/away.png", fake.away)
    async with TestServer(app) as server:
        fake.base = str(server.make_url("/"))
        monkeypatch.setenv("KEFU_WEBHOOK_SECRET", SECRET)
        monkeypatch.setenv("KEFU_WEBHOOK_CALLBACK_URL", f"{fake.base}kefu")
        yield fake


@pytest.fixture
async def running(site: Site, start: Start) -> Any:
    return await start()


def signed(raw: bytes, seconds: int, secret: str = SECRET) -> dict[str, str]:
    stamp = str(seconds)
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
    return {"Kefu-Timestamp": stamp, "Kefu-Signature": f"v1={digest}"}


async def post(running: Any, body: Any, secret: str = SECRET) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = signed(raw, running.clock.seconds(), secret)
    return await running.client.post("/webhooks/webhook", data=raw, headers=headers)


def message(id_: str = "m-1", text: str = "hello", **values: Any) -> dict[str, Any]:
    return {"account": "maya", "message_id": id_, "text": text} | values


def test_the_example_of_the_docs_is_right() -> None:
    page = PAGE.read_text("utf-8")
    # As `openssl dgst -sha256 -hmac` has it.
    signature = "v1=e0191768472cabd6cccaf67f8a6dfc4ddf6fce28193bcb66dcffa3293427fb71"
    raw = '{"account":"maya","message_id":"m-1","text":"where is my parcel?"}'
    secret = "0123456789abcdef0123456789abcdef"
    assert kefu_signature(raw.encode(), "1767225600", secret) == signature
    for part in (raw, secret, "1767225600", signature):
        assert part in page


def test_the_code_of_the_docs_checks_what_we_sign() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), namespace)
    raw = b'{"id": "1"}'
    now_s = 1767225600
    good = {
        "Kefu-Timestamp": str(now_s),
        "Kefu-Signature": ",".join(kefu_signature(raw, str(now_s), key) for key in (SECRET, "old")),
    }
    is_from_kefu = namespace["is_from_kefu"]
    assert is_from_kefu(good, raw, SECRET, now_s)
    assert is_from_kefu(good, raw, "old", now_s + 299)
    assert not is_from_kefu(good, raw + b" ", SECRET, now_s)
    assert not is_from_kefu(good, raw, "another", now_s)
    assert not is_from_kefu(good, raw, SECRET, now_s + 301)
    assert not is_from_kefu({}, raw, SECRET, now_s)


async def test_a_message_is_kept_and_its_answer_posted(
    running: Any, site: Site, dialogue: Any
) -> None:
    response = await post(running, message(locale="en"))
    assert response.status == 202
    accepted = await response.json()
    assert accepted["message"]["id"] == "m-1"
    assert accepted["message"]["duplicate"] is False
    (row,) = await running.posted()
    (answer,) = site.posts
    assert answer["text"] == "echo hello"
    assert answer["account"] == "maya"
    assert answer["conversation_id"] == accepted["conversation_id"]
    assert answer["author"] == "bot"
    assert answer["id"] == site.headers[0]["Idempotency-Key"] == row["id"]
    assert dialogue.texts == ["hello"]


async def test_a_repeated_message_is_one(running: Any, site: Site, dialogue: Any) -> None:
    assert (await post(running, message())).status == 202
    running.clock.forward(10)
    response = await post(running, message())
    assert response.status == 202
    assert (await response.json())["message"]["duplicate"] is True
    running.clock.forward(10)
    assert (await post(running, message(text="another text"))).status == 422
    await running.posted()
    assert running.inbound() == ["hello"]
    assert len(site.posts) == len(dialogue.turns) == 1


async def test_a_replayed_request_is_refused(running: Any) -> None:
    raw = json.dumps(message()).encode()
    headers = signed(raw, running.clock.seconds())
    first = await running.client.post("/webhooks/webhook", data=raw, headers=headers)
    again = await running.client.post("/webhooks/webhook", data=raw, headers=headers)
    assert (first.status, again.status) == (202, 401)
    assert running.inbound() == ["hello"]


async def test_every_bit_of_a_signed_request_counts(
    running: Any, dialogue: Any, every_bit: Any
) -> None:
    raw = b'{"account":"m","message_id":"1","text":"hi"}'
    headers = {name: value.encode() for name, value in signed(raw, running.clock.seconds()).items()}
    for changed in every_bit(raw):
        assert await running.post_bytes("/webhooks/webhook", headers, changed) == 401
    for name, value in headers.items():
        for changed in every_bit(value):
            status = await running.post_bytes("/webhooks/webhook", headers | {name: changed}, raw)
            assert status == (401 if min(changed) >= 32 and 127 not in changed else 400), changed
    assert running.nothing_kept()
    assert dialogue.turns == []
    assert await running.post_bytes("/webhooks/webhook", headers, raw) == 202


@pytest.mark.parametrize("off_s", [-86_400, -301, 360])
async def test_a_timestamp_five_minutes_off_is_refused(running: Any, off_s: int) -> None:
    raw = json.dumps(message()).encode()
    headers = signed(raw, running.clock.seconds() + off_s)
    response = await running.client.post("/webhooks/webhook", data=raw, headers=headers)
    assert response.status == 401
    assert (await response.json())["error"]["field"] == "Kefu-Timestamp"
    assert running.nothing_kept()


async def test_another_secret_or_none_is_refused(running: Any, until: Any) -> None:
    assert (await post(running, message(), "another-secret")).status == 401
    assert (await running.client.post("/webhooks/webhook", json=message())).status == 401
    assert running.nothing_kept()
    # Not one for each: whoever forges thousands fills no disk.
    (row,) = await until(lambda: running.rows("audit"))
    assert row["action"] == "forged_signature"


async def test_while_the_secret_is_changed_both_pass(
    site: Site, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_WEBHOOK_PREVIOUS_SECRET", OLD_SECRET)
    running = await start()
    assert (await post(running, message("m-1"), OLD_SECRET)).status == 202
    assert (await post(running, message("m-2"), SECRET)).status == 202
    await running.posted(2)
    # One for each secret: the site finds the one it knows.
    assert [len(headers["Kefu-Signature"].split(",")) for headers in site.headers] == [2, 2]


async def test_buttons_and_pictures_go_out_as_they_are(
    running: Any, site: Site, dialogue: Any
) -> None:
    buttons = [{"title": "Track", "payload": "/track"}]
    image = "https://shop.example/a.png"
    dialogue.reply = lambda text: [{"text": "Look", "buttons": buttons, "image": image}]
    await post(running, message())
    await running.posted()
    assert (site.posts[0]["buttons"], site.posts[0]["image"]) == (buttons, image)
    await post(running, message("m-2", "/track"))
    await running.posted(2)
    assert dialogue.texts == ["hello", "/track"]


async def test_a_picture_of_the_sites_server_is_kept(running: Any, site: Site) -> None:
    picture = {"kind": "image", "name": "broken.png", "url": f"{site.base}files/a.png"}
    response = await post(running, message(text="", attachments=[picture]))
    assert response.status == 202
    await running.posted()
    (kept,) = running.rows("file")
    assert (kept["data"], kept["name"]) == (PNG, "broken.png")


async def test_a_redirect_is_not_followed(running: Any, site: Site) -> None:
    picture = {"kind": "image", "url": f"{site.base}away.png"}
    assert (await post(running, message(attachments=[picture]))).status == 202
    await running.posted()
    assert running.rows("file") == []


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://elsewhere.example/a.png",
        "file:///etc/passwd",
        "http://127.0.0.1:1/a.png",
        "//127.0.0.1/a.png",
        "http://127.0.0.1\\@elsewhere.example/",
        "",
    ],
)
async def test_no_message_makes_us_fetch_from_elsewhere(running: Any, url: str) -> None:
    response = await post(running, message(attachments=[{"kind": "image", "url": url}]))
    assert response.status == 400
    assert (await response.json())["error"]["field"] == "attachments[0].url"
    assert running.nothing_kept()


@pytest.mark.parametrize(
    ("body", "field_"),
    [
        (b"[]", "body"),
        (b"{", "body"),
        ({"message_id": "1", "text": "x"}, "account"),
        ({"account": 5, "message_id": "1", "text": "x"}, "account"),
        ({"account": "a", "text": "x"}, "message_id"),
        (message(text=" \u200b"), "text"),
        (message(text="a\0"), "text"),
        ({"account": "a", "message_id": "1"}, "text"),
        (message(locale=5), "locale"),
        (message(attachments={}), "attachments"),
        (message(attachments=[{"kind": "virus"}]), "attachments[0]"),
        (message(attachments=[{"kind": "location"}]), "attachments[0]"),
        (message(attachments=[{"kind": "location", "text": "a\nb"}]), "attachments[0].text"),
        (message(attachments=[{"kind": "contact", "text": "x" * 501}]), "attachments[0].text"),
    ],
)
async def test_a_bad_body_is_named(running: Any, body: Any, field_: str) -> None:
    response = await post(running, body)
    assert response.status == 400
    assert (await response.json())["error"]["field"] == field_
    assert running.nothing_kept()


async def test_a_text_too_long_is_413(running: Any) -> None:
    assert (await post(running, message(text="x" * 4001))).status == 413
    assert (await post(running, b"x" * 70_000)).status == 413


@pytest.mark.parametrize("status", [429, 500, 503, 404, 302])
async def test_a_callback_in_trouble_is_tried_again(running: Any, site: Site, status: int) -> None:
    site.failures = [web.Response(status=status, headers={"Location": "/elsewhere"})]
    await post(running, message())
    await running.tried()
    running.clock.forward(60)
    running.gateway.sender.wake()
    await running.posted()
    assert [post["id"] for post in site.posts] == [site.posts[0]["id"]] * 2


def is_after(row: dict[str, Any], moment: datetime) -> bool:
    """Whether a row of the outbox is due after a moment."""
    return bool(datetime.fromisoformat(row["next_at"]).replace(tzinfo=UTC) > moment)


async def test_the_callbacks_wish_when_to_try_again_is_kept(running: Any, site: Site) -> None:
    site.failures = [web.Response(status=503, headers={"Retry-After": "7200"})]
    await post(running, message())
    assert is_after(await running.tried(), running.clock.now() + timedelta(seconds=7100))


async def test_that_wish_may_be_a_date(running: Any, site: Site) -> None:
    wish = format_datetime(running.clock.now() + timedelta(seconds=7200))
    site.failures = [web.Response(status=429, headers={"Retry-After": wish})]
    await post(running, message())
    assert is_after(await running.tried(), running.clock.now() + timedelta(seconds=7100))


@pytest.mark.parametrize("status", [400, 410, 422])
async def test_what_the_callback_never_takes_is_a_dead_letter(
    running: Any, site: Site, status: int
) -> None:
    site.failures = [web.Response(status=status)]
    await post(running, message())
    (row,) = await running.posted(state="failed")
    assert str(status) in row["error"]


async def test_an_agents_words_say_whose_they_are(running: Any, site: Site) -> None:
    await post(running, message())
    await running.posted()
    (conversation,) = running.rows("conversation")
    reply = Reply(id="agent-1", text="I am Ada", author="agent")
    await running.gateway.journal.say(conversation["id"], [reply])
    await running.posted(2)
    assert [post["author"] for post in site.posts] == ["bot", "agent"]


async def test_it_is_acknowledged_while_everything_behind_is_down(
    running: Any, site: Site, dialogue: Any
) -> None:
    dialogue.open.clear()
    assert (await post(running, message())).status == 202
    assert running.inbound() == ["hello"]
    assert site.posts == []


async def test_it_is_not_acknowledged_when_it_cannot_be_stored(running: Any, dialogue: Any) -> None:
    mend = running.break_storage()
    response = await post(running, message())
    assert response.status == 503
    assert response.headers["Retry-After"]
    mend()
    assert dialogue.turns == []
    running.clock.forward(10)
    assert (await post(running, message())).status == 202
    await running.posted()
    assert running.inbound() == ["hello"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KEFU_WEBHOOK_SECRET", None),
        ("KEFU_WEBHOOK_SECRET", "short"),
        ("KEFU_WEBHOOK_CALLBACK_URL", None),
        ("KEFU_WEBHOOK_CALLBACK_URL", "http://shop.example/kefu"),
        ("KEFU_WEBHOOK_CALLBACK_URL", "ftp://127.0.0.1/kefu"),
        ("KEFU_WEBHOOK_CALLBACK_URL", "https://"),
    ],
)
async def test_a_bad_set_up_names_the_variable(
    site: Site, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None
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
