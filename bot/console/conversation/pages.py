"""The page of one conversation, and the parts of it that a browser fetches again."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from bot.console.conversation.entries import shown, trend
from bot.console.looks import Looks
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.handoff import states
from bot.handoff.assignment import who_may_take
from bot.http import body
from bot.http.file_links import FileLinks
from bot.http.limits import Limits
from bot.intake import unknown_conversation
from bot.log import surroundings, transcript
from bot.log.inbox import mark_read
from bot.log.journal import Journal
from bot.log.surroundings import Surroundings
from bot.log.transcript import Span, Stretch
from bot.world import World

# Messages at first, and in each part that is fetched.
PAGE = 50
_MAX_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What a page is made of."""

    stretch: Stretch
    around: Surroundings
    colleagues: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a page is shown with."""

    journal: Journal
    links: FileLinks
    looks: Looks
    limits: Limits


class Pages:
    """Shows a conversation; every new look is on record."""

    def __init__(self, parts: Shown, world: World) -> None:
        self._journal = parts.journal
        self._links = parts.links
        self._looks = parts.looks
        self._limits = parts.limits
        self._world = world

    async def show(self, visit: Visit) -> web.StreamResponse:
        """The newest stretch, or with `?before=` an earlier one."""
        return await self._page(visit, "conversation/page.html", Span(before=_before(visit)))

    async def earlier(self, visit: Visit) -> web.StreamResponse:
        """The entries before `?before=` alone."""
        return await self._page(visit, "conversation/entries.html", Span(before=_before(visit)))

    async def news(self, visit: Visit) -> web.StreamResponse:
        """The entries after `?after=`, and how the conversation stands now."""
        after = body.read_whole_number(visit.request, "after", 0, _MAX_SEQ)
        return await self._page(visit, "conversation/news.html", Span(after=after, limit=PAGE))

    async def _page(self, visit: Visit, template: str, span: Span) -> web.StreamResponse:
        id_ = conversation_id(visit)
        read = await self._journal.read(partial(_read, id_=id_, span=span))
        if read is None:
            raise unknown_conversation()
        if self._looks.is_new(visit.agent.id, id_) or span.after is None:
            await self._journal.audit(visit.agent.id, "read_transcript", id_)
        if span.before is None and read.stretch.entries:
            await self._mark_read(visit, id_, read.stretch.last_seq)
        row = read.around.row
        return visit.page(
            template,
            conversation=row,
            around=read.around,
            trend=trend(read.around),
            reason=states.reason_of(row),
            outcomes=states.OUTCOMES,
            colleagues=read.colleagues,
            is_mine=row["status"] == "agent" and row["agent_id"] == visit.agent.id,
            entries=[shown(entry, self._links) for entry in read.stretch.entries],
            stretch=read.stretch,
            is_newest=span.before is None,
            fresh_id=self._world.new_id,
            max_chars=self._limits.max_text_chars,
        )

    async def _mark_read(self, visit: Visit, id_: str, seq: int) -> None:
        """The inbox marks what is newer as unread."""
        await self._journal.write(
            partial(mark_read, agent_id=visit.agent.id, conversation_id=id_, seq=seq)
        )


def conversation_id(visit: Visit) -> str:
    """The conversation of the address; raises RequestError (404) for what can be none."""
    id_ = visit.param("conversation_id")
    # PostgreSQL takes no NUL, not even to look for it.
    if not id_.isprintable():
        raise unknown_conversation()
    return id_


def _read(connection: Connection, *, id_: str, span: Span) -> _Read | None:
    around = surroundings.read(connection, conversation_id=id_)
    if around is None:
        return None
    return _Read(
        stretch=transcript.read(connection, conversation_id=id_, span=span),
        around=around,
        colleagues=who_may_take(connection),
    )


def _before(visit: Visit) -> int | None:
    if "before" not in visit.query:
        return None
    before = body.read_whole_number(visit.request, "before", 0, _MAX_SEQ)
    if before < 1:
        raise RequestError(400, "before", "nothing is before it", "leave it out for the newest")
    return before
