"""How fast a message is acknowledged while everything behind the gateway hangs."""

import asyncio
import json
import os
import secrets
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bot.bench.delivery_count import wait_for_answers
from bot.bench.report import percentile
from bot.bench.system import PrivateSystem, free_port, private_system
from bot.channels.signatures import kefu_signature

MESSAGES = 600
AT_ONCE = 20
BEHIND = ("understanding", "dialogue", "actions")


def measure_acknowledgements(folder: Path) -> dict[str, Any]:
    """Milliseconds to the acknowledgement on the web API and on the signed webhook.

    Understanding, dialogue and actions are stopped (SIGSTOP: they take connections and say
    nothing), then go on; all that was acknowledged must then be answered.
    """
    secret = secrets.token_hex(32)
    port = free_port()
    database_url = f"sqlite:///{folder}/kefu.db"
    settings = {
        "KEFU_DATABASE_URL": database_url,
        "KEFU_WEBHOOK_SECRET": secret,
        "KEFU_WEBHOOK_CALLBACK_URL": f"http://127.0.0.1:{port}/answers",
    }
    with private_system(folder / "state", settings) as system:
        return asyncio.run(_measure(system, database_url, secret, port))


async def _measure(
    system: PrivateSystem, database_url: str, secret: str, port: int
) -> dict[str, Any]:
    answers: set[str] = set()
    told = web.Application()

    async def take(request: web.Request) -> web.Response:
        answers.add(request.headers["Idempotency-Key"])
        return web.Response()

    told.router.add_post("/answers", take)
    runner = web.AppRunner(told, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            conversations = [await _open(session, system.url) for _ in range(AT_ONCE)]
            _signal(system, signal.SIGSTOP)
            try:
                api = await _in_parallel(
                    lambda number: _say(session, system.url, conversations[number % AT_ONCE])
                )
                webhook = await _in_parallel(
                    lambda number: _post_signed(session, system.url, secret, number)
                )
            finally:
                _signal(system, signal.SIGCONT)
            await wait_for_answers(database_url)
            async with asyncio.timeout(60):
                while len(answers) < MESSAGES:
                    await asyncio.sleep(0.1)
    finally:
        await runner.cleanup()
    return {
        "messages": 2 * MESSAGES,
        "at_once": AT_ONCE,
        "api_ms": _spread(api),
        "webhook_ms": _spread(webhook),
        "answers_called_back": len(answers),
    }


def _spread(times_ms: list[float]) -> dict[str, float]:
    return {
        "p50": round(percentile(times_ms, 0.5), 1),
        "p99": round(percentile(times_ms, 0.99), 1),
        "max": round(max(times_ms), 1),
    }


def _signal(system: PrivateSystem, number: signal.Signals) -> None:
    for name in BEHIND:
        pid = system.pids()[name]
        if pid is not None:
            os.kill(pid, number)


async def _in_parallel(send: Any) -> list[float]:
    """MESSAGES calls, AT_ONCE of them at a time; their times in milliseconds."""
    numbers = iter(range(MESSAGES))
    times: list[float] = []

    async def work() -> None:
        for number in numbers:
            started = time.perf_counter()
            await send(number)
            times.append((time.perf_counter() - started) * 1000)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return times


async def _open(session: aiohttp.ClientSession, url: str) -> dict[str, str]:
    async with session.post(f"{url}/api/v1/conversations") as response:
        opened: dict[str, str] = await response.json()
    return opened


async def _say(session: aiohttp.ClientSession, url: str, opened: dict[str, str]) -> None:
    async with session.post(
        f"{url}/api/v1/conversations/{opened['conversation_id']}/messages",
        json={"id": uuid.uuid4().hex, "text": "how long does delivery take"},
        headers={"Authorization": f"Bearer {opened['token']}"},
    ) as response:
        assert response.status == 202, await response.text()


async def _post_signed(session: aiohttp.ClientSession, url: str, secret: str, number: int) -> None:
    body = {
        "account": f"customer-{number % AT_ONCE}",
        "message_id": uuid.uuid4().hex,
        "text": "how long does delivery take",
    }
    raw = json.dumps(body).encode()
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "Kefu-Timestamp": timestamp,
        "Kefu-Signature": kefu_signature(raw, timestamp, secret),
    }
    async with session.post(f"{url}/webhooks/webhook", data=raw, headers=headers) as response:
        assert response.status == 202, await response.text()
