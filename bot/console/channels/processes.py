"""What each process says of itself, asked at once and not waited for long."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bot.settings import Settings

ASK_S = 3.0
_QUEUE = re.compile(r"^kefu_nlu_waiting_tokens\s+([0-9.e+]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process: whether it is ready, why not, and how long it took to say so."""

    name: str
    ready: bool
    reason: str | None = None
    spent_ms: float | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Processes:
    """The processes behind this gateway."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._urls = {
            "understanding": settings.nlu_url.rstrip("/"),
            "dialogue": settings.dialogue_url.rstrip("/"),
            "actions": settings.actions_url.rstrip("/"),
        }

    async def ask(self) -> list[Process]:
        """What each says now."""
        return list(await asyncio.gather(*(self._ask(*item) for item in self._urls.items())))

    async def _ask(self, name: str, url: str) -> Process:
        started = time.perf_counter()
        try:
            status, text = await self._get(url + "/readyz")
            told = json.loads(text)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = f"does not answer ({type(error).__name__})"
            return Process(name=name, ready=False, reason=reason)
        spent_ms = round((time.perf_counter() - started) * 1000, 1)
        told = told if isinstance(told, dict) else {}
        details = {key: value for key, value in told.items() if key not in ("status", "reason")}
        if name == "understanding":
            details |= await self._queue(url)
        ready = status == 200
        return Process(
            name=name,
            ready=ready,
            reason=None if ready else str(told.get("reason") or f"answers {status}"),
            spent_ms=spent_ms,
            details=details,
        )

    async def _queue(self, url: str) -> dict[str, Any]:
        """How many tokens wait for the model."""
        try:
            _, text = await self._get(url + "/metrics")
        except (aiohttp.ClientError, TimeoutError):
            return {}
        found = _QUEUE.search(text)
        return {} if found is None else {"waiting_tokens": int(float(found[1]))}

    async def _get(self, url: str) -> tuple[int, str]:
        async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=ASK_S)) as response:
            return response.status, await response.text()
