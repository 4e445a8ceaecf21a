"""Where a request comes from: some routes are for this machine only."""

from ipaddress import ip_address

from aiohttp import web

from bot.errors import RequestError
from bot.settings import Access

# A reverse proxy on this machine makes every visitor look local; these headers give it away.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


def is_local(request: web.Request) -> bool:
    """Whether the request was made on this machine, by no proxy."""
    if any(header in request.headers for header in _FORWARDED):
        return False
    try:
        address = ip_address((request.remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def require(request: web.Request, access: Access, field: str) -> None:
    """Raise RequestError (403) for a request that `access` does not let in."""
    if access == "on" or (access == "loopback" and is_local(request)):
        return
    raise RequestError(
        403,
        field,
        "it is switched off" if access == "off" else "it is for clients on this machine only",
        "ask who runs the gateway to set KEFU_REST_WEBHOOK or KEFU_DETAIL",
    )
