"""The socket server: who gets in, and that a client can do no more than the protocol says."""

import asyncio
import json
import secrets
from contextlib import AsyncExitStack, suppress
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from bot.log import tables
from bot.sockets.server import MAX_PACKET_BYTES

SOCKET = "/socket.io/?EIO=4&transport="


async def refusal(running: Any, auth: Any) -> str:
    async with running.client.ws_connect(SOCKET + "websocket", headers=running.own_page) as socket:
        await socket.receive_str()
        await socket.send_str("40/kefu," + ("" if auth is None else json.dumps(auth)))
        answer = await socket.receive_str(timeout=5)
    assert answer.startswith("44/kefu,"), answer
    return str(json.loads(answer.removeprefix("44/kefu,"))["message"])


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1.evil.example",
        "file://",
    ],
)
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_foreign_or_missing_origin_is_refused_before_the_upgrade(
    running: Any, origin: str | None, transport: str
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    if transport == "websocket":
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await running.client.ws_connect(SOCKET + transport, headers=headers)
        assert refused.value.status == 403
    response = await running.client.get(SOCKET + transport, headers=headers)
    assert response.status == 403
    assert (await response.json())["error"]["field"] == "Origin"
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_an_allowed_site_may_open_a_socket_and_read_its_polls(start: Any) -> None:
    running = await start(allowed_origins=["https://shop.example"])
    headers = {"Origin": "https://shop.example"}
    async with running.client.ws_connect(SOCKET + "websocket", headers=headers) as socket:
        assert (await socket.receive_str()).startswith("0{")
    response = await running.client.get(SOCKET + "polling", headers=headers)
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    preflight = await running.client.options(
        SOCKET + "polling", headers=headers | {"Access-Control-Request-Method": "POST"}
    )
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://shop.example"


async def test_a_page_of_our_own_may_poll_without_origin(running: Any) -> None:
    response = await running.client.get(
        SOCKET + "polling", headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert response.status == 200
    assert (await response.text()).startswith("0{")


async def test_jsonp_is_not_spoken(running: Any) -> None:
    response = await running.client.get(SOCKET + "polling&j=0", headers=running.own_page)
    assert response.status == 400
    assert (await response.json())["error"]["field"] == "j"


async def test_sockets_do_not_compress(running: Any) -> None:
    async with running.client.ws_connect(
        SOCKET + "websocket", headers=running.own_page, compress=15
    ) as socket:
        assert not socket.compress


async def test_a_forged_token_is_refused_and_nothing_is_read(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = await running.converse(), await running.converse()
    await other.say("m1", "a secret")

    async def read(self: Any, query: Any) -> Any:
        raise AssertionError("something was read")

    monkeypatch.setattr(type(running.gateway.journal), "read", read)
    forged = f"{other.id}.{secrets.token_urlsafe(4)}.{secrets.token_urlsafe(32)}"
    assert "forged" in await refusal(running, other.auth(token=forged))
    assert "another" in await refusal(running, other.auth(token=mine.token))
    for auth in (
        None,
        {},
        [],
        "token",
        {"conversation_id": other.id},
        {"conversation_id": 1, "token": 2},
        mine.auth(after=-1),
        mine.auth(after=True),
        mine.auth(after="1"),
        mine.auth(after=2**63),
    ):
        assert await refusal(running, auth)


async def test_a_refused_token_leaves_an_audit_row(running: Any) -> None:
    mine, other = await running.converse(), await running.converse()
    await refusal(running, other.auth(token=mine.token))

    def audit(connection: Any) -> list[tuple[str, str]]:
        table = tables.audit
        return [tuple(row) for row in connection.execute(select(table.c.action, table.c.target))]

    async with asyncio.timeout(5):
        while not await running.gateway.journal.read(audit):
            await asyncio.sleep(0)
    assert await running.gateway.journal.read(audit) == [("foreign_token", "socket /kefu")]


async def test_no_forged_token_of_a_thousand_gets_in(running: Any) -> None:
    other = await running.converse()
    await other.say("m1", "a secret")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    refused = 0
    async with AsyncExitStack() as stack:
        for batch in range(25):
            socket = await stack.enter_async_context(
                running.client.ws_connect(SOCKET + "websocket", headers=running.own_page)
            )
            await socket.receive_str()
            for n in range(40):
                place = secrets.randbelow(len(other.token))
                char = secrets.choice(alphabet.replace(other.token[place], ""))
                token = (
                    other.token[:place] + char + other.token[place + 1 :]
                    if n % 2
                    else f"{other.id}.{secrets.token_urlsafe(32 + batch)}"
                )
                await socket.send_str("40/kefu," + json.dumps(other.auth(token=token)))
                answer = await socket.receive_str()
                assert answer.startswith("44/kefu,"), answer
                refused += 1
    assert refused == 1000


async def test_a_connection_has_one_conversation_only(running: Any) -> None:
    mine, other = await running.converse(), await running.converse()
    async with running.client.ws_connect(SOCKET + "websocket", headers=running.own_page) as socket:
        await socket.receive_str()
        await socket.send_str("40/kefu," + json.dumps(mine.auth()))
        assert (await socket.receive_str()).startswith("40/kefu,")
        assert "messages" in await socket.receive_str()
        # An event of the name of the library's own: no second way in, and no way out.
        fake = {"aiohttp.request": "x"}
        await socket.send_str("42/kefu," + json.dumps(["connect", fake, other.auth()]))
        await socket.send_str("42/kefu," + json.dumps(["disconnect", "x"]))
        await socket.send_str("42/kefu," + json.dumps(["push", "x", "messages"]))
        await socket.send_str("42/kefu,[[]]")
        await other.say("m1", "a secret")
        await mine.say("m2", "hello")
        heard = ""
        while "echo hello" not in heard:
            heard += await socket.receive_str(timeout=5)
        assert "secret" not in heard


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param("42/kefu,{}", id="no list"),
        pytest.param("42/kefu,", id="no event"),
        pytest.param("4", id="no packet"),
        pytest.param("49", id="unknown type"),
        pytest.param("42/kefu," + "[" * 30_000, id="deep"),
        pytest.param('451-/kefu,["typing",{"_placeholder":true,"num":0}]', id="binary"),
        pytest.param("42/kefu," + "1" * 200 + '["typing"]', id="long id"),
        pytest.param("4" + "x" * MAX_PACKET_BYTES, id="too large"),
        pytest.param(b"\x00\x01", id="bytes"),
    ],
)
async def test_what_is_no_socket_io_closes_the_connection(
    running: Any, packet: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    conversation = await running.converse()
    async with running.client.ws_connect(SOCKET + "websocket", headers=running.own_page) as socket:
        await socket.receive_str()
        await socket.send_str("40/kefu," + json.dumps(conversation.auth()))
        await socket.receive_str()
        await socket.receive_str()
        await (socket.send_str if isinstance(packet, str) else socket.send_bytes)(packet)
        async with asyncio.timeout(5):
            while not (await socket.receive()).type.name.startswith(("CLOS", "ERR")):
                pass
    assert "Traceback" not in caplog.text


async def test_a_connection_that_floods_is_closed(running: Any) -> None:
    conversation = await running.converse()
    async with running.client.ws_connect(SOCKET + "websocket", headers=running.own_page) as socket:
        await socket.receive_str()
        await socket.send_str("40/kefu," + json.dumps(conversation.auth()))
        with suppress(ConnectionError, aiohttp.ClientError):
            for _ in range(1000):
                await socket.send_str('42/kefu,["typing"]')
                await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while not (await socket.receive()).type.name.startswith(("CLOS", "ERR")):
                pass


async def test_one_address_has_so_many_sockets(start: Any) -> None:
    running = await start(max_sockets_per_address=2)
    headers = running.own_page
    async with running.client.ws_connect(SOCKET + "websocket", headers=headers):
        first = await running.client.ws_connect(SOCKET + "websocket", headers=headers)
        response = await running.client.get(SOCKET + "polling", headers=headers)
        assert response.status == 429
        assert response.headers["Retry-After"] == "30"
        await first.close()
        async with asyncio.timeout(5):
            while (await running.client.get(SOCKET + "polling", headers=headers)).status != 200:
                await asyncio.sleep(0)
