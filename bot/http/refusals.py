"""Audit rows for refusals that matter: bounded, and with no more of the client than needed."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Protocol

from bot.errors import StorageError
from bot.http.client_address import Address

logger = logging.getLogger(__name__)

QUIET_S = 60.0
# However many clients an attacker has: so many rows a minute and no more.
ROWS_PER_MIN = 60
MOST_KEYS = 10_000


class AuditLog(Protocol):
    """Where the rows go."""

    def audit(
        self, actor: str, action: str, target: str, detail: dict[str, Any] | None = None
    ) -> Awaitable[Any]:
        """Keep a row; raises StorageError."""
        ...


@dataclass(slots=True, kw_only=True)
class _Seen:
    at_s: float
    unwritten: int = 0


class Refusals:
    """Writes at most one row a minute for an action of a client, with how often it happened."""

    def __init__(
        self, log: AuditLog, *, hash_text: Callable[[str], str], clock: Callable[[], float]
    ) -> None:
        self._log = log
        self._hash_text = hash_text
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], _Seen] = OrderedDict()
        self._minute_at_s = clock()
        self._rows = 0
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, action: str, client: Address | None, target: str) -> None:
        """Count a refusal, and write a row when it is the client's first in a minute."""
        now_s = self._clock()
        key = (action, str(client))
        seen = self._seen.pop(key, None)
        if seen is not None and now_s - seen.at_s < QUIET_S:
            seen.unwritten += 1
            self._seen[key] = seen
            return
        before = 0 if seen is None else seen.unwritten
        if not self._has_room(now_s):
            # It is told with the row that the client leaves once there is room again.
            self._seen[key] = _Seen(at_s=now_s - QUIET_S, unwritten=before + 1)
        else:
            self._seen[key] = _Seen(at_s=now_s)
            detail = {"client": self._hash_text(str(client))[:16], "count": before + 1}
            self._write(network_shown(client), action, target, detail)
        if len(self._seen) > MOST_KEYS:
            self._seen.popitem(last=False)

    async def close(self) -> None:
        """Wait for the rows that are on their way."""
        await asyncio.gather(*self._writing)

    def _has_room(self, now_s: float) -> bool:
        if now_s - self._minute_at_s >= 60:
            self._minute_at_s, self._rows = now_s, 0
        self._rows += 1
        return self._rows <= ROWS_PER_MIN

    def _write(self, actor: str, action: str, target: str, detail: dict[str, Any]) -> None:
        task = asyncio.create_task(self._keep(actor, action, target, detail))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _keep(self, actor: str, action: str, target: str, detail: dict[str, Any]) -> None:
        try:
            await self._log.audit(actor, action, target, detail)
        except (StorageError, TimeoutError) as error:
            logger.error("audit row not kept", extra={"action": action, "error": str(error)})


def network_shown(client: Address | None) -> str:
    """As much of an address as a row may keep: an IPv4's /24, an IPv6's /48."""
    if client is None:
        return "unknown"
    prefix = 24 if client.version == 4 else 48
    return str(ip_network((client, prefix), strict=False))
