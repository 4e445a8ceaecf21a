"""Takes files from customers and gives them back under signed addresses."""

import asyncio
import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from aiohttp import web

from bot.errors import RequestError
from bot.http import body, file_types
from bot.http.file_links import PATH, FileLinks
from bot.intake import unknown_conversation
from bot.log import files
from bot.log.files import NewFile, Quota
from bot.log.journal import Journal
from bot.tokens import Tokens
from bot.world import World

_UPLOAD_TIMEOUT_S = 60.0
# Whole files are held in memory while they are checked and sent: so many at once.
_AT_ONCE = 32
_SEAL = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    # The signed address is the permission: pages of allowed sites may show the image.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLimits:
    """How large a file may be, in bytes, and what a conversation may keep."""

    max_file_bytes: int
    quota: Quota


class FileStore:
    """Checks files and keeps them: from customers here, from platforms by the delivery."""

    def __init__(self, journal: Journal, limits: FileLimits, world: World) -> None:
        self._journal = journal
        self._world = world
        self.limits = limits

    async def keep(
        self, conversation_id: str, data: bytes, *, name: str, claimed: str = ""
    ) -> dict[str, Any]:
        """The attachment that a message can carry: `id`, `kind`, `name`, `content_type`, `size`.

        Raises RequestError: 413 too large or the conversation full, 415 of a type that is not
        taken, 404 without such a conversation; StorageError.
        """
        if len(data) > self.limits.max_file_bytes:
            raise RequestError(
                413,
                "body",
                f"the file is larger than {self.limits.max_file_bytes} bytes",
                "send a smaller file",
            )
        # Both read the whole file: not on the loop.
        content_type, digest = await asyncio.to_thread(_look_at, data, claimed)
        if content_type is None:
            raise RequestError(
                415,
                "body",
                "files of this type are not taken",
                "send JPEG, PNG, GIF, WebP, PDF or plain text in UTF-8",
            )
        file = NewFile(
            id=self._world.new_id(),
            conversation_id=conversation_id,
            name=file_types.clean_name(name, content_type),
            content_type=content_type,
            data=data,
            sha256=digest,
        )
        kept = await self._journal.write(
            partial(files.keep, file=file, quota=self.limits.quota, now=self._world.now())
        )
        if kept is None:
            raise unknown_conversation()
        return as_attachment(kept)

    async def attachments(self, conversation_id: str, ids: list[str]) -> tuple[dict[str, Any], ...]:
        """Attachments by the ids of a conversation's own files, in their order.

        Raises RequestError (400) for an id that is none of them.
        """
        if not ids:
            return ()
        found = await self._journal.read(
            partial(files.describe, conversation_id=conversation_id, ids=ids)
        )
        if missing := [id_ for id_ in ids if id_ not in found]:
            raise RequestError(
                400,
                "attachments",
                f"the conversation has no file {missing[0]!r}",
                "send the ids that POST .../files answered",
            )
        return tuple(as_attachment(found[id_]) for id_ in ids)

    async def content(self, file_id: str) -> dict[str, Any] | None:
        """A file's `name`, `content_type`, `size` and `data`; None when it is gone."""
        return await self._journal.read(partial(files.content, id_=file_id))


class FileRoutes:
    """POST /api/v1/conversations/{id}/files and GET /api/v1/files/{id}."""

    def __init__(self, store: FileStore, links: FileLinks, tokens: Tokens) -> None:
        self._store = store
        self._links = links
        self._tokens = tokens
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the routes into an application's router."""
        router.add_post("/api/v1/conversations/{conversation_id}/files", self.upload)
        router.add_get(PATH + "/{file_id}", self.download)

    async def upload(self, request: web.Request) -> web.Response:
        """Keep the body as a file of the conversation; a message then names its id."""
        conversation_id = request.match_info["conversation_id"]
        self._tokens.check(request.headers.get("Authorization"), conversation_id)
        return await self.take_in(request, conversation_id)

    async def take_in(self, request: web.Request, conversation_id: str) -> web.Response:
        """Keep the body for a conversation that the sender may write in."""
        name = body.check_text(request.query.get("name", "file"), "name", 255)
        async with self._slot():
            data = await body.read_raw(
                request, self._store.limits.max_file_bytes, timeout_s=_UPLOAD_TIMEOUT_S
            )
            claimed = request.headers.get("Content-Type", "")
            kept = await self._store.keep(conversation_id, data, name=name, claimed=claimed)
        (shown,) = self._links.show([kept])
        return web.json_response(shown, status=201)

    async def download(self, request: web.Request) -> web.Response:
        """The file's bytes, for whoever holds a signed address."""
        file_id = request.match_info["file_id"]
        left_s = self._links.check(
            file_id, request.query.get("expires", ""), request.query.get("signature", "")
        )
        async with self._slot():
            file = await self._store.content(file_id)
            if file is None:
                raise RequestError(404, "file_id", "the file is gone", "ask for it again")
            return web.Response(
                body=file["data"],
                headers=_SEAL
                | {
                    "Content-Type": _served_as(file["content_type"]),
                    "Content-Disposition": _disposition(file["name"], file["content_type"]),
                    "Cache-Control": f"private, max-age={left_s}, immutable",
                },
            )

    def _slot(self) -> asyncio.Semaphore:
        if self._slots.locked():
            raise RequestError(
                429,
                "files",
                "too many files are on their way",
                "send it again after the seconds in Retry-After",
                retry_after_s=2,
            )
        return self._slots


def as_attachment(file: dict[str, Any]) -> dict[str, Any]:
    """A stored file as a message keeps it."""
    return {"kind": file_types.kind_of(file["content_type"])} | file


def _look_at(data: bytes, claimed: str) -> tuple[str | None, str]:
    return file_types.type_of(data, claimed), hashlib.sha256(data).hexdigest()


def _served_as(content_type: str) -> str:
    return f"{content_type}; charset=utf-8" if content_type == "text/plain" else content_type


def _disposition(name: str, content_type: str) -> str:
    """Only raster images open in place; the name in both forms that browsers read."""
    how = "inline" if file_types.kind_of(content_type) == "image" else "attachment"
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("\\", "_")
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
