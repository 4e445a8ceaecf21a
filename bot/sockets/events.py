"""The base of our Socket.IO namespaces: only events that exist, and no forged connect."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import socketio
from aiohttp import web

from bot.errors import RequestError

logger = logging.getLogger(__name__)

# What waits for a connection that does not take it; beyond, it is closed and catches up later.
_MAX_QUEUED = 100
_TAKE_TIMEOUT_S = 20.0


class Events(socketio.AsyncNamespace):  # type: ignore[misc]
    """A namespace whose clients may send `events`; a handler gets the first argument only.

    A subclass has `on_connect(sid, environ, auth)`, which raises RequestError to refuse,
    `on_disconnect(sid, reason)` and `on_EVENT(sid, data)` for each of its events.
    """

    events: frozenset[str] = frozenset()
    # Told of each connection that was refused.
    refused: Callable[[web.Request, RequestError], None] | None = None

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Call the handler of an event that is what it says it is."""
        sid = args[0]
        try:
            if event == "connect":
                return await self._connect(sid, *args[1:3])
            if event == "disconnect":
                # A client can send an event of this name: then it is still connected.
                if not self.server.manager.is_connected(sid, self.namespace):
                    await self.on_disconnect(sid, args[1] if len(args) > 1 else None)
                return None
            if isinstance(event, str) and event in self.events:
                handler = getattr(self, f"on_{event}")
                return await handler(sid, args[1] if len(args) > 1 else None)
        except socketio.exceptions.ConnectionRefusedError:
            raise
        except Exception:
            # A fault of ours is no reason to close the connection, and none to tell the client.
            logger.exception("socket event failed", extra={"namespace": self.namespace})
        return False if event == "connect" else None

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Let a connection in, or raise RequestError."""

    async def on_disconnect(self, sid: str, reason: Any) -> None:
        """Forget a connection."""

    async def push(self, sid: str, event: str, data: Any) -> None:
        """Send an event to one connection; one that does not take what it gets is closed."""
        engine_sid = self.server.manager.eio_sid_from_sid(sid, self.namespace)
        engine = self.server.eio.sockets.get(engine_sid)
        if engine is None or engine.closed:
            return
        if engine.queue.qsize() >= _MAX_QUEUED:
            await self._close_slow(sid)
            return
        await self.emit(event, data, to=sid)

    async def taken(self, sid: str) -> None:
        """Wait until the connection has taken what was pushed; one that does not is closed."""
        engine_sid = self.server.manager.eio_sid_from_sid(sid, self.namespace)
        engine = self.server.eio.sockets.get(engine_sid)
        if engine is None or engine.closed:
            return
        try:
            async with asyncio.timeout(_TAKE_TIMEOUT_S):
                await engine.queue.join()
        except TimeoutError:
            await self._close_slow(sid)

    async def _close_slow(self, sid: str) -> None:
        logger.info("socket closed", extra={"why": "slow"})
        await self.server.disconnect(sid, namespace=self.namespace)

    async def _connect(self, sid: str, environ: Any = None, auth: Any = None) -> None:
        request = environ.get("aiohttp.request") if isinstance(environ, dict) else None
        # A client can send an event named connect: nothing that it sends is a request.
        if not isinstance(request, web.Request):
            return
        try:
            await self.on_connect(sid, environ, auth)
        except RequestError as refusal:
            if self.refused is not None:
                self.refused(request, refusal)
            raise socketio.exceptions.ConnectionRefusedError(
                refusal.message, refusal.body()["error"] | {"status": refusal.status}
            ) from None
