"""The gateway as processes of their own, with a dialogue that remembers what it has done."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

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
async def start_gateway(
    database_url: str, dialogue: Dialogue, tmp_path: Path
) -> AsyncIterator[Callable[[], Awaitable[GatewayProcess]]]:
    """Starts a gateway on the test's database; called again, one more beside it."""

    async def ready(request: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    app = web.Application()
    app.router.add_post("/webhooks/turn/turn", dialogue.turn)
    app.router.add_get("/readyz", ready)
    started: list[GatewayProcess] = []
    async with TestServer(app) as server:

        async def start() -> GatewayProcess:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            environment = {
                name: value for name, value in os.environ.items() if "KEFU_" not in name
            } | {
                "KEFU_PORT": str(port),
                "KEFU_STATE_DIR": str(tmp_path / "state"),
                "KEFU_DATABASE_URL": database_url,
                "KEFU_DIALOGUE_URL": str(server.make_url("/")),
            }
            gateway = GatewayProcess(environment, port)
            await gateway.start()
            started.append(gateway)
            return gateway

        yield start
        for gateway in started:
            assert gateway.process is not None
            if gateway.process.returncode is None:
                await gateway.stop(signal.SIGKILL)


@pytest.fixture
def send_until_taken() -> Callable[..., Awaitable[None]]:
    """Posts a message until a gateway says that it has it, as a good client does."""

    async def send(
        session: aiohttp.ClientSession, urls: list[str], token: str, body: dict[str, str]
    ) -> None:
        attempt = 0
        while True:
            url = urls[attempt % len(urls)]
            attempt += 1
            with suppress(aiohttp.ClientError):
                async with session.post(
                    url, json=body, headers={"Authorization": f"Bearer {token}"}
                ) as response:
                    if response.status == 202:
                        return
            await asyncio.sleep(0.02)

    return send
