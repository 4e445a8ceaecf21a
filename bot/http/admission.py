"""What a request must pass before anything of it is read: its origin, its rate, its token."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.errors import RequestError
from bot.http.client_address import is_local, network_of
from bot.http.origin import Origins
from bot.http.rate_limits import RateLimits
from bot.tokens import Tokens

API = "/api/v1/"
SOCKET = "/socket.io/"
_CONVERSATIONS = "/api/v1/conversations"
_CONVERSATION = "/api/v1/conversations/{conversation_id}/"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Turns away by headers alone what should not get further."""

    origins: Origins
    limits: RateLimits
    tokens: Tokens
    limit_loopback: bool

    def middleware(self) -> Middleware:
        """Checks before the handler runs; forged requests beyond the rate get 429 after it."""

        @web.middleware
        async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._check_origin(request)
            if not self._is_exempt(request):
                self._count(request)
            try:
                return await handler(request)
            except RequestError as error:
                # A good signature is never turned away for the bad ones from its address: a
                # platform's servers are everyone's.
                if error.status == 401 and not self._is_exempt(request):
                    self.limits.refusal(self._network(request))
                raise

        return admit

    def client(self, request: web.Request) -> IPv4Address | IPv6Address | None:
        """The client's address, behind trusted proxies too."""
        return self.origins.proxies.client(request)

    def _check_origin(self, request: web.Request) -> None:
        if request.path.startswith(SOCKET):
            self.origins.check_socket(request)
        elif request.path.startswith(API) or request.method not in _SAFE:
            self.origins.check(request)

    def _count(self, request: web.Request) -> None:
        if not request.path.startswith((API, SOCKET)):
            return
        network = self._network(request)
        self.limits.request(network)
        route = _route(request)
        if request.method in _SAFE:
            return
        if route == _CONVERSATIONS:
            self.limits.opening(network)
        elif route.startswith(_CONVERSATION):
            if route.endswith("/files"):
                self.limits.upload(network)
            conversation_id = request.match_info["conversation_id"]
            # Only whom the token names is counted: nobody uses up the room of another.
            self.tokens.check(request.headers.get("Authorization"), conversation_id)
            self.limits.customer("api", conversation_id)
            if route.endswith("/messages"):
                self.limits.message("api")

    def _is_exempt(self, request: web.Request) -> bool:
        return not self.limit_loopback and is_local(request)

    def _network(self, request: web.Request) -> str:
        return network_of(self.client(request))


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical
