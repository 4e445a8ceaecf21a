"""Serves the widget: the launcher, the chat page with its assets, and the demo shop."""

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from bot.errors import RequestError
from bot.web.build import DIST

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_SHORT = "public, max-age=300"
_FOREVER = "public, max-age=31536000, immutable"
_CHECKED = "no-cache"

# Styles of the chat are sheets of its own or set by script; no inline script or style is let in.
_CHAT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{sockets}; "
    "img-src 'self' data: blob: https:; font-src 'none'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors {ancestors}"
)
# An embedding site needs the chat's origin in script-src and frame-src; here that is 'self'.
_DEMO_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file of dist/ as it goes out."""

    body: bytes
    compressed: bytes
    content_type: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WidgetOptions:
    """What the pages are told: who may frame the chat, and the limit shown for files."""

    frame_ancestors: Sequence[str]
    max_file_bytes: int


class Assets:
    """The built files by name, read on first use and kept."""

    def __init__(self, dist: Path = DIST, *, max_file_bytes: int | None = None) -> None:
        self._dist = dist
        self._max_file_bytes = max_file_bytes
        self._assets: dict[str, Asset] = {}

    async def serve(self, request: web.Request) -> web.Response:
        """A file whose name changes with its content."""
        headers = {"Cross-Origin-Resource-Policy": "same-origin"}
        return self.answer(request, f"assets/{request.match_info['name']}", _FOREVER, headers)

    def answer(
        self, request: web.Request, name: str, caching: str, headers: dict[str, str]
    ) -> web.Response:
        """The file, compressed where that is understood, or that it has not changed."""
        asset = self._assets.get(name)
        if asset is None:
            asset = self._assets[name] = self._read(name)
        headers = {
            **headers,
            "Cache-Control": caching,
            "ETag": asset.etag,
            "Vary": "Accept-Encoding",
        }
        if asset.etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = asset.content_type
        body = asset.body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = asset.compressed
        return web.Response(body=body, headers=headers)

    def _read(self, name: str) -> Asset:
        """A file of dist/ by its exact name; raises RequestError (404 or 503)."""
        known = {
            path.relative_to(self._dist).as_posix(): path
            for path in self._dist.rglob("*")
            if path.suffix in _TYPES
        }
        if not known:
            raise RequestError(
                503,
                "widget",
                "the chat widget is not built on this machine",
                "run kefu prepare (or python -m bot.web.build)",
            )
        if name not in known:
            raise RequestError(404, "path", "there is no such file of the widget", "see /widget/")
        body = known[name].read_bytes()
        if name == "widget.html" and self._max_file_bytes is not None:
            limit = f'<html lang="en" data-max-file-bytes="{self._max_file_bytes}">'
            body = body.replace(b'<html lang="en">', limit.encode(), 1)
        return Asset(
            body=body,
            compressed=gzip.compress(body, mtime=0),
            content_type=_TYPES[Path(name).suffix],
            etag=f'"{hashlib.sha256(body).hexdigest()[:20]}"',
        )


class Pages:
    """/kefu.js, /widget/, /widget/assets/*, /demo."""

    def __init__(self, options: WidgetOptions, *, dist: Path = DIST) -> None:
        self._options = options
        self._assets = Assets(dist, max_file_bytes=options.max_file_bytes)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the routes into an application's router."""
        router.add_get("/kefu.js", self.launcher)
        router.add_get("/widget", self.to_chat)
        router.add_get("/widget/", self.chat)
        router.add_get("/widget/assets/{name}", self._assets.serve)
        router.add_get("/demo", self.demo)

    async def launcher(self, request: web.Request) -> web.Response:
        """The one script of an embedding page."""
        # Any site may load a script; this lets one with COEP do so too.
        headers = {"Cross-Origin-Resource-Policy": "cross-origin"}
        return self._assets.answer(request, "kefu.js", _SHORT, headers)

    async def to_chat(self, request: web.Request) -> web.Response:
        """The chat's addresses are relative to the folder."""
        raise web.HTTPMovedPermanently(
            "widget/" + (f"?{request.query_string}" * bool(request.query))
        )

    async def chat(self, request: web.Request) -> web.Response:
        """The chat page."""
        # Before 'self' covered web sockets, Safari wanted them by name.
        host = request.headers.get("Host", "")
        sockets = f" ws://{host} wss://{host}" if _is_host(host) else ""
        policy = _CHAT_POLICY.format(
            sockets=sockets, ancestors=" ".join(["'self'", *self._options.frame_ancestors])
        )
        return self._assets.answer(
            request, "widget.html", _CHECKED, {"Content-Security-Policy": policy}
        )

    async def demo(self, request: web.Request) -> web.Response:
        """The demo shop, with the chat on it."""
        headers = {"Content-Security-Policy": _DEMO_POLICY, "X-Frame-Options": "DENY"}
        return self._assets.answer(request, "demo.html", _CHECKED, headers)


def _is_host(host: str) -> bool:
    """Whether a Host header may stand in a policy: a name or address with a port, nothing else."""
    return bool(host) and all(letter.isalnum() or letter in ".-:[]" for letter in host)
