"""A conversation as its customer sees it, over HTTP and over sockets alike."""

from functools import partial
from typing import Any, Protocol

from bot.http.file_links import FileLinks
from bot.log.journal import Journal
from bot.log.pages import Page, read_page


class Queue(Protocol):
    """Where a waiting customer stands."""

    async def __call__(self, conversation_id: str) -> dict[str, Any] | None:
        """`{"position", "open"}`, or None for a conversation that does not wait."""
        ...


class View:
    """Reads a conversation and shows it."""

    def __init__(self, journal: Journal, links: FileLinks, queue: Queue | None = None) -> None:
        self._journal = journal
        self._links = links
        self._queue = queue

    async def page(self, conversation_id: str, *, after: int, limit: int) -> dict[str, Any] | None:
        """The messages after `after`, at most `limit`, and how the conversation stands.

        None when there is no such conversation; raises StorageError.
        """
        page: Page | None = await self._journal.read(
            partial(read_page, conversation_id=conversation_id, after=after, limit=limit)
        )
        if page is None:
            return None
        waits = page.status == "waiting" and self._queue is not None
        return {
            "conversation_id": conversation_id,
            "status": page.status,
            "queue": await self._queue(conversation_id) if waits and self._queue else None,
            "rating": page.rating,
            "messages": [self.message(row) for row in page.rows],
            "next_after": page.rows[-1]["seq"] if page.rows else after,
        }

    async def standing(self, conversation_id: str) -> dict[str, Any] | None:
        """`status` and `queue` alone."""
        page = await self.page(conversation_id, after=0, limit=0)
        return None if page is None else {name: page[name] for name in ("status", "queue")}

    def message(self, row: dict[str, Any]) -> dict[str, Any]:
        """A message's row as clients see it: an inbound one under the client's own id."""
        metadata = row["metadata"] or {}
        shown: dict[str, Any] = {
            "id": row["message_id"] or row["id"],
            "seq": row["seq"],
            "direction": row["direction"],
            "author": row["author"],
            "agent_name": row.get("agent_name"),
            "text": row["text"],
            "attachments": self._links.show(row["attachments"] or ()),
            "created_at": row["created_at"].isoformat(),
        }
        if row["direction"] == "in":
            pressed = {"title": metadata["title"]} if "title" in metadata else {}
            return shown | {"state": row["state"]} | pressed
        said = {"buttons": row["buttons"] or [], "metadata": metadata}
        if row["author"] == "bot":
            said["feedback"] = row.get("feedback")
        return shown | said | (row["extra"] or {})
