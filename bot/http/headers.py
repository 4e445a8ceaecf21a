"""The security headers of every answer; what a page has set for itself stays."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from bot.http.cors import add_cors
from bot.http.origin import Origins

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would then send `Origin: null` with some requests of our own pages.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# For whatever is no page: should a browser ever show it, it can do nothing, nowhere.
NO_PAGE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}
HSTS = "max-age=31536000"
_UNCACHED = ("/api/", "/webhooks/", "/healthz", "/readyz", "/socket.io/")


def add_headers(origins: Origins) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """For `on_response_prepare`: the last hand on an answer before it leaves."""
    https = (origins.public or "").startswith("https:")

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if "Content-Security-Policy" not in headers:
            for name, value in NO_PAGE.items():
                headers.setdefault(name, value)
        if request.path.startswith(_UNCACHED):
            headers.setdefault("Cache-Control", "no-store")
        if https:
            headers.setdefault("Strict-Transport-Security", HSTS)
        headers.popall("Server", None)
        add_cors(request, response, origins)

    return add
