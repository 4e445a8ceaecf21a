"""An API's access token: fetched when it is needed, by one request at a time, before it expires."""

import asyncio
from collections.abc import Awaitable, Callable

from bot.world import World

# Renewed so long before the end: a request under way must not outlive its token.
_MARGIN_S = 300.0


class AccessToken:
    """Keeps the token that `fetch` gets; `fetch` returns it with the seconds it is good for.

    However many ask at once, one request goes out; when it fails, all who asked are told.
    """

    def __init__(self, fetch: Callable[[], Awaitable[tuple[str, float]]], world: World) -> None:
        self._fetch = fetch
        self._world = world
        self._token = ""
        self._good_until_s = float("-inf")
        self._flight: asyncio.Task[str] | None = None

    async def get(self) -> str:
        """A token that is good; raises what `fetch` raises."""
        if self._token and self._now_s() < self._good_until_s:
            return self._token
        return await self._renew()

    async def replace(self, refused: str) -> str:
        """Another token than one that was refused, unless it was replaced meanwhile."""
        if refused == self._token:
            self._token = ""
        return await self.get()

    async def _renew(self) -> str:
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._fetch_once())
        # Who asked first may give up; the others still wait for the same answer.
        return await asyncio.shield(self._flight)

    async def _fetch_once(self) -> str:
        token, seconds = await self._fetch()
        self._token = token
        self._good_until_s = self._now_s() + max(seconds - _MARGIN_S, seconds / 2)
        return token

    def _now_s(self) -> float:
        return self._world.now().timestamp()
