"""Whose request it is: the client's network address, also behind reverse proxies."""

import logging
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Self

from aiohttp import web

logger = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
# More hops than any chain of proxies has; beyond, the header is somebody's invention.
_MAX_HOPS = 32
# These give away a proxy, trusted or not.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxies:
    """The networks whose word about the client's address and scheme is taken."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    _warned: list[str] = field(default_factory=list, compare=False)

    @classmethod
    def of(cls, networks: list[str]) -> Self:
        """From a setting; raises ValueError for what is no network."""
        return cls(networks=tuple(ip_network(network) for network in networks))

    def client(self, request: web.Request) -> Address | None:
        """The client's address: the right-most hop that is no trusted proxy; None for a socket
        without an address."""
        peer = _parse(request.remote or "")
        if peer is None or not self._trusts(peer):
            if peer is not None and not self._warned and _is_forwarded(request):
                self._warned.append(str(peer))
                logger.warning("forwarded by a proxy that is not in KEFU_TRUSTED_PROXIES")
            return peer
        told = {
            self._last_untrusted(hops, peer)
            for hops in (_hops_of_x_forwarded_for(request), _hops_of_forwarded(request))
            if hops
        }
        # A client can add the header that the proxy does not set: where two disagree, neither
        # is believed.
        return told.pop() if len(told) == 1 else peer

    def scheme(self, request: web.Request) -> str:
        """`http` or `https`, as the client used it."""
        peer = _parse(request.remote or "")
        told = request.headers.getall("X-Forwarded-Proto", [])
        if peer is not None and self._trusts(peer) and told:
            last = told[-1].rpartition(",")[2].strip().lower()
            if last in ("http", "https"):
                return last
        return request.scheme

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self.networks)

    def _last_untrusted(self, hops: list[str], peer: Address) -> Address:
        nearest = peer
        for hop in reversed(hops[-_MAX_HOPS:]):
            address = _parse(hop)
            if address is None:
                return nearest
            nearest = address
            if not self._trusts(address):
                break
        return nearest


def network_of(address: Address | None) -> str:
    """What one client is counted by: an IPv4 address, or the /64 an IPv6 host picks from."""
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)


def is_local(request: web.Request) -> bool:
    """Whether the request was made on this machine, by no proxy and to this machine's name.

    The name is looked at because a web page can point a name of its own at 127.0.0.1 (DNS
    rebinding) and then talk to it as if it were its own server.
    """
    if _is_forwarded(request):
        return False
    peer = _parse(request.remote or "")
    return (
        peer is not None and peer.is_loopback and _is_loopback_host(request.headers.get("Host", ""))
    )


def _is_forwarded(request: web.Request) -> bool:
    return any(header in request.headers for header in FORWARDED)


def _is_loopback_host(host: str) -> bool:
    name = host.strip()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    if name.lower() in ("localhost", ""):
        return True
    address = _parse(name)
    return address is not None and address.is_loopback


def _hops_of_x_forwarded_for(request: web.Request) -> list[str]:
    return [
        hop.strip()
        for line in request.headers.getall("X-Forwarded-For", [])
        for hop in line.split(",")
    ]


def _hops_of_forwarded(request: web.Request) -> list[str]:
    return [entry.get("for", "") for entry in request.forwarded]


def _parse(text: str) -> Address | None:
    """An address as proxies write it: with a port, in brackets, with a zone; None for others."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
