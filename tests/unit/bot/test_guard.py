"""What a request meets before any route: origins, limits, headers, and what refusals leave."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.channels.signatures import kefu_signature
from bot.errors import RequestError, SettingError
from bot.http import body
from bot.http.guard import SERVER_LIMITS, open_origins
from bot.settings import Settings

SHOP = "https://shop.example"
EVIL = "https://evil.example"
PROXIED = {"trusted_proxies": ["127.0.0.1"]}


def audit_rows(folder: Path) -> list[tuple[str, str, dict[str, Any]]]:
    connection = sqlite3.connect(folder / "kefu.db")
    try:
        found = connection.execute("SELECT actor, action, detail FROM audit ORDER BY created_at")
        return [(actor, action, json.loads(detail)) for actor, action, detail in found]
    finally:
        connection.close()


async def settled(gateway: Any, folder: Path, count: int) -> list[tuple[str, str, dict[str, Any]]]:
    """The audit rows, when so many are there."""
    async with asyncio.timeout(10):
        while len(audit_rows(folder)) < count:
            await asyncio.sleep(0.01)
    return audit_rows(folder)


async def error_of(response: Any, status: int) -> dict[str, str]:
    assert response.status == status, await response.text()
    return dict((await response.json())["error"])


# Origins and CORS.


async def test_the_pages_of_an_allowed_site_may_call_and_read(start: Callable[..., Any]) -> None:
    gateway = await start(allowed_origins=[SHOP])
    preflight = await gateway.client.options(
        "/api/v1/conversations",
        headers={
            "Origin": SHOP,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == SHOP
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in preflight.headers
    opened = await gateway.client.post("/api/v1/conversations", headers={"Origin": SHOP})
    assert opened.status == 201
    assert opened.headers["Access-Control-Allow-Origin"] == SHOP
    assert opened.headers["Access-Control-Expose-Headers"] == "Retry-After"
    assert opened.headers.getall("Vary") == ["Origin"]
    # A refusal can be read as well: the page then knows what to do.
    refused = await gateway.client.post(
        "/api/v1/conversations", data=b"[]", headers={"Origin": SHOP}
    )
    assert refused.status == 400
    assert refused.headers["Access-Control-Allow-Origin"] == SHOP


async def test_a_foreign_page_is_refused_before_anything_is_read(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    gateway = await start(allowed_origins=[SHOP])
    conversation = await gateway.converse()
    headers = conversation.headers | {"Origin": EVIL}
    for method, path in (
        ("OPTIONS", "/api/v1/conversations"),
        ("POST", "/api/v1/conversations"),
        ("POST", conversation.url),
        ("GET", conversation.url),
        ("POST", "/api/v1/nothing"),
        ("POST", "/webhooks/rest/webhook"),
    ):
        if method == "OPTIONS":
            headers = headers | {"Access-Control-Request-Method": "POST"}
        response = await gateway.client.request(method, path, headers=headers, data=b"not read")
        assert (await error_of(response, 403))["field"] == "Origin"
        assert "Access-Control-Allow-Origin" not in response.headers
    rows = await settled(gateway, tmp_path, 1)
    assert [row[:2] for row in rows] == [("127.0.0.0/24", "foreign_origin")]


async def test_the_gateways_own_pages_and_servers_pass(running: Any) -> None:
    own = f"http://{running.client.host}:{running.client.port}"
    for headers in ({"Origin": own}, {}):
        response = await running.client.post("/api/v1/conversations", headers=headers)
        assert response.status == 201
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_cors_is_for_the_api_alone(start: Callable[..., Any]) -> None:
    gateway = await start(allowed_origins=[SHOP])
    response = await gateway.client.get("/healthz", headers={"Origin": SHOP})
    assert response.status == 200
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_name_that_points_here_does_not_make_a_page_local(running: Any) -> None:
    response = await running.client.post(
        "/webhooks/rest/webhook",
        json={"sender": "a", "message": "hello"},
        headers={"Host": "rebound.example", "Origin": "http://rebound.example"},
    )
    assert (await error_of(response, 403))["field"] == "webhook"


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"allowed_origins": ["*"]}, "KEFU_ALLOWED_ORIGINS"),
        ({"public_url": "chat.example"}, "KEFU_PUBLIC_URL"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "KEFU_TRUSTED_PROXIES"),
        ({"trusted_proxies": ["nginx"]}, "KEFU_TRUSTED_PROXIES"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(changes: dict[str, Any], variable: str) -> None:
    with pytest.raises(SettingError) as refused:
        open_origins(Settings(_env_file=None).model_copy(update=changes))
    assert refused.value.variable == variable


# Headers.


async def test_every_answer_has_the_security_headers(start: Callable[..., Any]) -> None:
    gateway = await start(public_url="https://chat.shop.example/")
    for path in ("/healthz", "/api/v1/nothing", "/api/v1/conversations", "/webhooks/rest/"):
        headers = (await gateway.client.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "Server" not in headers


async def test_without_https_no_browser_is_bound_to_it(running: Any) -> None:
    assert "Strict-Transport-Security" not in (await running.client.get("/healthz")).headers


# Limits.


async def test_conversations_from_one_address_are_limited(start: Callable[..., Any]) -> None:
    gateway = await start(rate_open_per_min=3, **PROXIED)

    async def open_from(address: str) -> Any:
        return await gateway.client.post(
            "/api/v1/conversations", headers={"X-Forwarded-For": address}, data=b"{"
        )

    # A body that cannot be read counts as well: it is counted before it is read.
    for _ in range(3):
        await error_of(await open_from("198.51.100.1"), 400)
    response = await open_from("198.51.100.1")
    assert (await error_of(response, 429))["field"] == "address"
    assert 1 <= int(response.headers["Retry-After"]) <= 20
    await error_of(await open_from("6.6.6.6, 198.51.100.1"), 429)
    await error_of(await open_from("198.51.100.2"), 400)
    for host in range(3):
        await error_of(await open_from(f"2001:db8::{host}"), 400)
    await error_of(await open_from("2001:db8::ffff"), 429)


async def test_a_customer_is_limited_alone_and_by_nobody_else(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    gateway = await start(rate_customer_per_min=3, rate_loopback=True)
    one, other = await gateway.converse(), await gateway.converse()
    # Who has no token uses up no room.
    for _ in range(10):
        forged = await gateway.client.post(one.url, headers=other.headers, json={})
        assert forged.status == 403
    for number in range(3):
        assert (await one.say(f"m{number}", "hello"))[0] == 200
    status, answer = await one.say("m4", "hello")
    assert (status, answer["error"]["field"]) == (429, "conversation")
    assert (await other.say("m1", "hello"))[0] == 200
    assert (await gateway.client.get(one.url, headers=one.headers)).status == 200
    actions = {row[1] for row in await settled(gateway, tmp_path, 2)}
    assert actions == {"foreign_token", "rate_limited"}


async def test_forgeries_are_told_so_only_so_often(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    gateway = await start(rate_refused_per_min=5, rate_loopback=True)
    conversation = await gateway.converse()
    forged = {"Authorization": f"Bearer {conversation.token[:-4]}AAAA"}
    answers = [
        (await gateway.client.get(conversation.url, headers=forged)).status for _ in range(8)
    ]
    assert answers == [401] * 5 + [429] * 3
    # The good token still passes from the same address.
    assert (await conversation.say("m1", "hello"))[0] == 200
    rows = await settled(gateway, tmp_path, 2)
    assert [(action, detail["count"]) for _, action, detail in rows] == [
        ("forged_token", 1),
        ("rate_limited", 1),
    ]


async def test_the_gateways_own_machine_is_not_limited(start: Callable[..., Any]) -> None:
    gateway = await start(rate_open_per_min=1, rate_customer_per_min=1, rate_api_per_min=1)
    conversation = await gateway.converse()
    for number in range(5):
        assert (await conversation.say(f"m{number}", "hello"))[0] == 200


WEBHOOK_SECRET = "an invented secret of at least 32 characters"


async def test_a_platforms_customer_is_limited_and_its_address_is_not(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_WEBHOOK_SECRET", WEBHOOK_SECRET)
    monkeypatch.setenv("KEFU_WEBHOOK_CALLBACK_URL", "http://127.0.0.1:9/callback")
    gateway = await start(
        rate_customer_per_min=3, rate_refused_per_min=2, rate_api_per_min=1, rate_loopback=True
    )

    async def send(account: str, number: int, secret: str = WEBHOOK_SECRET) -> Any:
        message = {"account": account, "message_id": f"m{number}", "text": "hello"}
        raw = json.dumps(message).encode()
        now = str(int(time.time()))
        return await gateway.client.post(
            "/webhooks/webhook",
            data=raw,
            headers={"Kefu-Timestamp": now, "Kefu-Signature": kefu_signature(raw, now, secret)},
        )

    assert [(await send("a", number)).status for number in range(4)] == [202] * 3 + [429]
    forged = [(await send("b", number, "forged " * 6)).status for number in range(4)]
    assert forged == [401, 401, 429, 429]
    assert (await send("b", 9)).status == 202


# Bodies.


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id": "m", "text": ' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 60_000,
        b'{"a": "\\\\", "b": ' + b"[" * 40,
    ],
)
def test_depth_is_refused_before_parsing(raw: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        body.parse_object(raw)
    assert (refused.value.status, refused.value.field) == (400, "body")
    assert "32 deep" in refused.value.message


@pytest.mark.parametrize(
    "value",
    [{"text": "[" * 5000 + "{" * 5000}, {"text": '"[' * 2000 + "\\"}, {"a": [[]] * 500}],
)
def test_brackets_in_texts_and_wide_bodies_are_not_depth(value: dict[str, Any]) -> None:
    assert body.parse_object(json.dumps(value).encode()) == value


def test_a_text_that_never_ends_costs_linear_time() -> None:
    with pytest.raises(RequestError):
        body.parse_object(b'{"a": "' + b'\\"[' * 20_000)


@pytest.fixture
async def echo() -> Any:
    async def handler(request: web.Request) -> web.Response:
        try:
            raw = await body.read_raw(request, 1000, timeout_s=0.05)
        except RequestError as error:
            return web.json_response(error.body(), status=error.status)
        return web.Response(body=raw)

    app = web.Application()
    app.router.add_post("/", handler)
    async with TestClient(TestServer(app)) as client:
        yield client


async def answer_to(client: Any, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        writer.write(sent)
        await writer.drain()
        return await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_raw_body_is_as_it_was_sent(echo: Any) -> None:
    response = await echo.post("/", data=b"\x00\xff{")
    assert await response.read() == b"\x00\xff{"


async def test_a_slow_body_is_not_waited_for(echo: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"
    assert b" 408 " in await answer_to(echo, head)


async def test_a_large_body_is_refused_by_its_announced_length(echo: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n"
    assert b" 413 " in await answer_to(echo, head)


async def test_a_large_body_without_a_length_is_refused_while_it_comes(echo: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b" 413 " in await answer_to(echo, head + b"3ff\r\n" + b"x" * 1023 + b"\r\n")


async def test_a_compressed_body_is_refused_unread(echo: Any) -> None:
    response = await echo.post("/", data=b"x" * 500, compress="gzip")
    assert response.status == 415


async def test_the_server_bounds_address_and_headers(start: Callable[..., Any]) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, access_log=None, **SERVER_LIMITS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]

        async def status(lines: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(lines + b"\r\n\r\n")
            answer = await asyncio.wait_for(reader.readline(), 5)
            writer.close()
            return answer.split()[1]

        assert await status(b"GET / HTTP/1.1\r\nHost: x") == b"200"
        assert await status(b"GET /?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x") == b"400"
        assert await status(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 9000) == b"400"
        many = b"".join(b"\r\nA%d: x" % number for number in range(100))
        assert await status(b"GET / HTTP/1.1\r\nHost: x" + many) == b"400"
    finally:
        await runner.cleanup()
