"""The gateway as a process of its own, killed and stopped, on both databases."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import text

from bot.log.database import open_engine

ROOT = Path(__file__).parents[2]


class Dialogue:
    """A turn channel that remembers what it has done, as the real one does."""

    def __init__(self) -> None:
        self.done: dict[str, dict[str, Any]] = {}
        self.order: dict[str, list[str]] = {}
        self.delay_s = 0.002

    async def turn(self, request: web.Request) -> web.Response:
        body = await request.json()
        # A real turn takes its time: enough for the kill to fall into one.
        await asyncio.sleep(self.delay_s)
        if body["message_id"] not in self.done:
            self.order.setdefault(body["conversation_id"], []).append(body["text"])
            self.done[body["message_id"]] = {
                "message_id": body["message_id"],
                "duplicate": False,
                "replies": [{"text": f"echo {body['text']}", "metadata": {}}],
                "parse": {"intent": {"name": "inform", "confidence": 0.9}},
                "events": [],
                "timing_ms": {},
            }
        return web.json_response(self.done[body["message_id"]])


class GatewayProcess:
    """`python -m bot`, again and again on the same port and database."""

    def __init__(self, environment: dict[str, str], port: int) -> None:
        self.environment = environment
        self.url = f"http://127.0.0.1:{port}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", cwd=ROOT, env=self.environment
        )
        async with aiohttp.ClientSession() as session, asyncio.timeout(30):
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.02)

    async def stop(self, signal_: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(signal_)
        async with asyncio.timeout(30):
            return await self.process.wait()


@pytest.fixture
async def dialogue() -> Dialogue:
    return Dialogue()


@pytest.fixture
async def gateway(
    database_url: str, dialogue: Dialogue, tmp_path: Path
) -> AsyncIterator[GatewayProcess]:
    async def ready(request: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    app = web.Application()
    app.router.add_post("/webhooks/turn/turn", dialogue.turn)
    app.router.add_get("/readyz", ready)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with TestServer(app) as server:
        environment = {name: value for name, value in os.environ.items() if "KEFU_" not in name} | {
            "KEFU_PORT": str(port),
            "KEFU_STATE_DIR": str(tmp_path / "state"),
            "KEFU_DATABASE_URL": database_url,
            "KEFU_DIALOGUE_URL": str(server.make_url("/")),
        }
        gateway = GatewayProcess(environment, port)
        await gateway.start()
        yield gateway
        assert gateway.process is not None
        if gateway.process.returncode is None:
            await gateway.stop(signal.SIGKILL)


async def send_until_taken(
    session: aiohttp.ClientSession, url: str, token: str, body: dict[str, str]
) -> None:
    """Post a message until the gateway says that it has it, as a good client does."""
    while True:
        with suppress(aiohttp.ClientError):
            async with session.post(
                url, json=body, headers={"Authorization": f"Bearer {token}"}
            ) as response:
                if response.status == 202:
                    return
        await asyncio.sleep(0.02)


async def test_killed_under_load_it_loses_and_doubles_nothing(
    gateway: GatewayProcess, dialogue: Dialogue, database_url: str
) -> None:
    conversations, messages, kills = 20, 15, 2
    texts = [f"text {number}" for number in range(messages)]
    tokens: dict[str, str] = {}
    async with aiohttp.ClientSession() as session:
        for _ in range(conversations):
            async with session.post(f"{gateway.url}/api/v1/conversations") as response:
                opened = await response.json()
            tokens[opened["conversation_id"]] = opened["token"]

        async def talk(conversation_id: str) -> None:
            url = f"{gateway.url}/api/v1/conversations/{conversation_id}/messages"
            for said in texts:
                body = {"id": said, "text": said}
                await send_until_taken(session, url, tokens[conversation_id], body)

        async def kill() -> None:
            chance = random.Random(7)
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.05, 0.15))
                assert await gateway.stop(signal.SIGKILL) == -signal.SIGKILL
                await gateway.start()

        await asyncio.gather(kill(), *map(talk, tokens))
    # SIGTERM: what was accepted is answered first.
    assert await gateway.stop(signal.SIGTERM) == 0

    assert dialogue.order == dict.fromkeys(tokens, texts)
    engine = open_engine(database_url)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT direction, state, conversation_id, text FROM message ORDER BY seq")
        ).all()
        turns = connection.execute(text("SELECT count(*) FROM turn")).scalar_one()
    engine.dispose()
    assert Counter((row.direction, row.state) for row in rows) == {
        ("in", "answered"): conversations * messages,
        ("out", "sent"): conversations * messages,
    }
    assert turns == conversations * messages
    for conversation_id in tokens:
        answers = [
            row.text
            for row in rows
            if row.conversation_id == conversation_id and row.direction == "out"
        ]
        assert answers == [f"echo {said}" for said in texts]
