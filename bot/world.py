"""What differs between a process and a test: the clock, ids, chance and rest."""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime


def utc_now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def sortable_id() -> str:
    """An id that sorts by the time it was made, so that indexes grow at one end."""
    return f"{time.time_ns():016x}{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Passed in wherever time, identity or chance matters."""

    now: Callable[[], datetime] = utc_now
    new_id: Callable[[], str] = sortable_id
    chance: random.Random = field(default_factory=random.Random)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
