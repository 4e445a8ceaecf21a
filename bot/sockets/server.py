"""The socket server: who may connect and how much a connection may do, before any event of ours."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import socketio
from aiohttp import web

from bot.errors import RequestError
from bot.http.client_address import network_of
from bot.http.origin import Origins
from bot.http.refusals import Refusals
from bot.sockets.events import Events
from bot.sockets.transport import BoundedWebSocket

logger = logging.getLogger(__name__)

PATH = "/socket.io/"
MAX_PACKET_BYTES = 64 * 1024
PING_EVERY_S = 25
PING_TIMEOUT_S = 20
# A connection that asks for no namespace within this time only costs memory.
_NAMESPACE_WITHIN_S = 15
_POST_TIMEOUT_S = 10
# Packets a second of one connection, and how many may come at once.
_PACKETS_PER_S = 10.0
_PACKETS_AT_ONCE = 50.0
# Socket.IO packets that announce binary attachments, which nothing here takes.
_BINARY = ("5", "6")


@dataclass(slots=True, kw_only=True)
class _Connection:
    """What is known of an open connection."""

    network: str
    transport: asyncio.Transport | None
    patience: asyncio.TimerHandle
    packets_left: float = _PACKETS_AT_ONCE
    counted_s: float = 0.0


class Sockets:
    """Socket.IO at /socket.io/.

    Whatever a client can do to the protocol itself ends here: it is counted, limited, and closed
    when it is malformed.
    """

    def __init__(self, origins: Origins, refusals: Refusals, *, max_per_address: int) -> None:
        self._origins = origins
        self._refusals = refusals
        self._max_per_address = max_per_address
        self._connections: dict[str, _Connection] = {}
        self._per_network: Counter[str] = Counter()
        self._leaving: set[asyncio.Task[None]] = set()
        self.closed = False
        self.server = _open_server(origins)
        engine = self.server.eio
        self._forward = dict(engine.handlers)
        engine.on("connect", self._connect)
        engine.on("message", self._message)
        engine.on("disconnect", self._disconnect)

    def register(self, namespace: Events) -> None:
        """Serve a namespace; what it refuses and matters leaves an audit row."""

        def refused(request: web.Request, error: RequestError) -> None:
            if error.audit is not None:
                client = self._origins.proxies.client(request)
                self._refusals.note(error.audit, client, f"socket {namespace.namespace}")

        namespace.refused = refused
        self.server.register_namespace(namespace)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the route into an application's router."""
        for method in ("GET", "POST", "OPTIONS"):
            router.add_route(method, PATH, self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request of the protocol; raises RequestError before anything is upgraded."""
        self._origins.check_socket(request)
        if "j" in request.query:
            raise RequestError(
                400, "j", "JSONP is not spoken here", "use polling without it, or WebSocket"
            )
        connection = self._connections.get(request.query.get("sid", ""))
        if connection is None:
            self._refuse_when_full(request)
        elif "Upgrade" in request.headers:
            connection.transport = request.transport
        if request.method != "POST":
            return await self._answer(request)
        try:
            async with asyncio.timeout(_POST_TIMEOUT_S):
                return await self._answer(request)
        except TimeoutError:
            raise RequestError(
                408, "body", "the packets did not arrive in time", "connect again"
            ) from None

    async def close(self) -> None:
        """Close every connection; clients connect again, to another gateway or later."""
        self.closed = True
        for sid in list(self._connections):
            await self._leave(sid)
        await self.server.shutdown()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        response = await self.server.handle_request(request)
        assert isinstance(response, web.StreamResponse)
        return response

    def _refuse_when_full(self, request: web.Request) -> None:
        if self.closed:
            raise RequestError(
                503,
                "gateway",
                "the gateway is going down",
                "connect again after the seconds in Retry-After",
                retry_after_s=5,
            )
        if self._per_network[self._network(request)] >= self._max_per_address:
            raise RequestError(
                429,
                "address",
                "too many sockets are open from this address",
                "close some, and try again after the seconds in Retry-After",
                retry_after_s=30,
                audit="sockets_limited",
            )

    def _network(self, request: web.Request) -> str:
        return network_of(self._origins.proxies.client(request))

    async def _connect(self, sid: str, environ: dict[str, Any]) -> Any:
        request = environ["aiohttp.request"]
        network = self._network(request)
        loop = asyncio.get_running_loop()
        is_websocket = request.query.get("transport") == "websocket"
        self._connections[sid] = _Connection(
            network=network,
            transport=request.transport if is_websocket else None,
            patience=loop.call_later(_NAMESPACE_WITHIN_S, self._expect_namespace, sid),
            counted_s=loop.time(),
        )
        self._per_network[network] += 1
        return await self._forward["connect"](sid, environ)

    async def _message(self, sid: str, data: Any) -> None:
        connection = self._connections.get(sid)
        if connection is None:
            return
        if not isinstance(data, str) or data.startswith(_BINARY) or not _has_budget(connection):
            logger.debug("socket closed", extra={"why": "too much or binary"})
            self._drop(sid)
            return
        try:
            await self._forward["message"](sid, data)
        except (
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            RecursionError,
        ) as error:
            # Faults of our own handlers do not come this far (see Events): this is no Socket.IO.
            logger.debug("socket closed", extra={"why": type(error).__name__})
            self._drop(sid)

    async def _disconnect(self, sid: str, reason: str) -> None:
        connection = self._connections.pop(sid, None)
        if connection is not None:
            connection.patience.cancel()
            self._per_network[connection.network] -= 1
            if not self._per_network[connection.network]:
                del self._per_network[connection.network]
        await self._forward["disconnect"](sid, reason)
        engine = self.server.eio.sockets.get(sid)
        if engine is not None:
            # After the farewell that may still be queued: it ends the writer, or a waiting poll.
            asyncio.get_running_loop().call_soon(engine.queue.put_nowait, None)

    def _expect_namespace(self, sid: str) -> None:
        manager = self.server.manager
        if all(
            manager.sid_from_eio_sid(sid, name) is None for name in list(manager.get_namespaces())
        ):
            self._drop(sid)

    def _drop(self, sid: str) -> None:
        """Close a connection that does not deserve a farewell."""
        connection = self._connections.get(sid)
        if connection is None:
            return
        if connection.transport is not None:
            connection.transport.abort()
        else:
            task = asyncio.create_task(self._leave(sid))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _leave(self, sid: str) -> None:
        engine = self.server.eio.sockets.get(sid)
        if engine is not None:
            await engine.close(wait=False, reason=self.server.reason.SERVER_DISCONNECT)


def _open_server(origins: Origins) -> socketio.AsyncServer:
    def is_allowed(origin: str, environ: dict[str, Any]) -> bool:
        return origins.verdict(environ["aiohttp.request"]) in ("own", "allowed")

    # Below this level these loggers write whole packets: what customers say.
    for name in ("engineio.server", "socketio.server"):
        logging.getLogger(name).setLevel(logging.ERROR)
    server = socketio.AsyncServer(
        async_mode="aiohttp",
        # Those that are registered, and not the default one unless it is.
        namespaces=["/kefu"],
        # One packet of a connection after the other: a client that hurries waits for itself.
        async_handlers=False,
        logger=logging.getLogger("socketio.server"),
        engineio_logger=logging.getLogger("engineio.server"),
        # The same check as before the upgrade; it also sets the headers that polling needs.
        cors_allowed_origins=is_allowed,
        cors_credentials=False,
        cookie=None,
        http_compression=False,
        max_http_buffer_size=MAX_PACKET_BYTES,
        ping_interval=PING_EVERY_S,
        ping_timeout=PING_TIMEOUT_S,
    )
    # The driver's own socket compresses (300 kB of buffers each) and waits for a dead reader.
    server.eio._async = {**server.eio._async, "websocket": BoundedWebSocket}
    return server


def _has_budget(connection: _Connection) -> bool:
    """Take one packet off what the connection may send now."""
    now_s = asyncio.get_running_loop().time()
    refilled = connection.packets_left + (now_s - connection.counted_s) * _PACKETS_PER_S
    connection.packets_left = min(_PACKETS_AT_ONCE, refilled) - 1
    connection.counted_s = now_s
    return connection.packets_left >= 0
