"""One WebSocket under the socket server: small, uncompressed, and never stuck on a dead reader."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

SEND_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0


class BoundedWebSocket:
    """What engine.io asks of a driver: called with the request, then `send`, `wait`, `close`."""

    def __init__(
        self, handler: Callable[["BoundedWebSocket"], Awaitable[None]], server: Any
    ) -> None:
        self._handler = handler
        self._request: web.Request | None = None
        # Compression would cost 300 kB a socket, and is a way to send bombs.
        self._socket = web.WebSocketResponse(
            max_msg_size=server.max_http_buffer_size, compress=False, timeout=_CLOSE_TIMEOUT_S
        )

    async def __call__(self, environ: dict[str, Any]) -> web.StreamResponse:
        """Upgrade, and run the connection to its end."""
        self._request = environ["aiohttp.request"]
        await self._socket.prepare(self._request)
        await self._handler(self)
        return self._socket

    async def send(self, message: str) -> None:
        """Send one packet; a peer that does not take it in time is cut off, with OSError."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.send_str(message)
        except TimeoutError:
            self._abort()
            raise OSError("the peer does not read") from None

    async def wait(self) -> str:
        """The next packet; OSError at the end of the connection and for what is no text."""
        message = await self._socket.receive()
        if not isinstance(message.data, str):
            raise OSError("no more packets")
        return message.data

    async def close(self) -> None:
        """Say goodbye, but not for long."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._socket.close()
        except TimeoutError:
            self._abort()

    def _abort(self) -> None:
        if self._request is not None and self._request.transport is not None:
            self._request.transport.abort()
