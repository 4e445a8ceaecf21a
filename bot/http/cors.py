"""Lets the pages of allowed sites call the API, and read what it answers."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.http.admission import API
from bot.http.origin import Origins

_MAX_AGE_S = 600
_METHODS = "GET, POST"
_HEADERS = "Authorization, Content-Type"
_EXPOSED = "Retry-After"


def answer_preflight(origins: Origins) -> Middleware:
    """Answers the browser's question whether a page may call; raises RequestError (403)."""

    @web.middleware
    async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = "Access-Control-Request-Method" in request.headers
        if request.method == "OPTIONS" and asked and request.path.startswith(API):
            origins.check(request)
            return web.Response(
                status=204,
                headers={
                    "Access-Control-Allow-Methods": _METHODS,
                    "Access-Control-Allow-Headers": _HEADERS,
                    "Access-Control-Max-Age": str(_MAX_AGE_S),
                },
            )
        return await handler(request)

    return preflight


def add_cors(request: web.Request, response: web.StreamResponse, origins: Origins) -> None:
    """Put the headers on an answer of the API, also on a refusal."""
    if not request.path.startswith(API):
        return
    response.headers.add("Vary", "Origin")
    if origins.verdict(request) == "allowed":
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
