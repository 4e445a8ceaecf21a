"""Keeps to a platform's rate limits: who would be too fast waits its turn."""

import asyncio
from dataclasses import dataclass, field

from bot.world import World

_MAX_KEYS = 10_000


@dataclass(slots=True, kw_only=True)
class _Lane:
    """One key's queue, and when the next may pass if none is saved up."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_s: float = float("-inf")
    waiting: int = 0


class Bucket:
    """`per_s` in the long run and `burst` at once, for each key apart; first come, first served.

    One for a chat: `Bucket(1, 3, world)` and `await bucket.take(chat_id)`. One for the whole
    platform: always the same key. What is cancelled while it waits has taken nothing.
    """

    def __init__(self, per_s: float, burst: int, world: World) -> None:
        self._interval_s = 1 / per_s
        self._saved_s = (burst - 1) / per_s
        self._world = world
        self._lanes: dict[str, _Lane] = {}
        self._last_s = float("-inf")
        self._offset_s = 0.0

    async def take(self, key: str = "") -> None:
        """Return when the next request for this key may go out."""
        lane = self._lanes.get(key)
        if lane is None:
            self._forget_idle()
            lane = self._lanes[key] = _Lane()
        lane.waiting += 1
        try:
            # asyncio's lock is fair, and who gives up in the queue leaves it.
            async with lane.lock:
                now_s = self._now_s()
                start_s = max(now_s, lane.next_s - self._saved_s)
                if start_s > now_s:
                    await self._world.sleep(start_s - now_s)
                lane.next_s = max(start_s, lane.next_s) + self._interval_s
        finally:
            lane.waiting -= 1

    def _now_s(self) -> float:
        """The clock, never backwards: a clock set back by an hour must not stop us for one."""
        now_s = self._world.now().timestamp() + self._offset_s
        if now_s < self._last_s:
            self._offset_s += self._last_s - now_s
            now_s = self._last_s
        self._last_s = now_s
        return now_s

    def _forget_idle(self) -> None:
        """Keep memory bounded: a key that has saved up all it may is as good as a new one."""
        if len(self._lanes) < _MAX_KEYS:
            return
        now_s = self._now_s()
        self._lanes = {
            key: lane for key, lane in self._lanes.items() if lane.waiting or lane.next_s > now_s
        }
