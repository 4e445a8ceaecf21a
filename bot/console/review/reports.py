"""The pages beside the queue: agreement, disputed turns, one's own history, exports."""

import io
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from bot.console.visit import Visit
from bot.errors import RequestError
from bot.log import agreement, audit, corrections, exports, reviews
from bot.log.export import write_corrected_jsonl, write_corrected_rasa
from bot.log.exports import Export
from bot.log.journal import Journal
from bot.world import World

PERIOD_DAYS = 90
_PAGE = 50
_FORMATS = {
    "jsonl": (write_corrected_jsonl, "application/x-ndjson", "jsonl"),
    "rasa": (write_corrected_rasa, "application/yaml", "yml"),
}


class Reports:
    """What was done in reviewing, and its fruits."""

    def __init__(self, journal: Journal, world: World) -> None:
        self._journal = journal
        self._world = world

    async def agreement(self, visit: Visit) -> web.StreamResponse:
        """Cohen's kappa of each pair of people, and the turns that they dispute."""
        today = self._world.now().date()
        since = _day(visit, "from") or today - timedelta(days=PERIOD_DAYS)
        until = _day(visit, "to") or today
        found, disputed, names = await self._journal.browse(
            lambda connection: (
                agreement.agreements(
                    connection, since=_midnight(since), until=_midnight(until + timedelta(days=1))
                ),
                reviews.disputed(connection),
                reviews.names_of(connection),
            )
        )
        return visit.page(
            "review/agreement.html",
            found=[asdict(one) for one in found],
            disputed=disputed,
            names=names,
            since=since,
            until=until,
        )

    async def history(self, visit: Visit) -> web.StreamResponse:
        """One's own records that stand."""
        before = visit.query.get("before")
        if before is not None and not before.isprintable():
            before = None
        rows = await self._journal.browse(
            partial(reviews.history, agent_id=visit.agent.id, before=before, limit=_PAGE + 1)
        )
        more = len(rows) > _PAGE
        rows = rows[:_PAGE]
        return visit.page("review/history.html", rows=rows, before=rows[-1]["id"] if more else None)

    async def download(self, visit: Visit) -> web.StreamResponse:
        """The corrections as a file; who took it is on record."""
        format_ = visit.query.get("format", "jsonl")
        if format_ not in _FORMATS:
            raise RequestError(400, "format", "it is not known", "use jsonl or rasa")
        since = _day(visit, "from")
        write, content_type, ending = _FORMATS[format_]
        out = io.StringIO()
        conversations: set[str] = set()

        def read(connection: Connection) -> int:
            turns = corrections.corrected(
                connection, since=None if since is None else _midnight(since)
            )
            return write(corrections.noted(turns, conversations), out)

        count = await self._journal.browse(read)
        await self._journal.write(
            partial(
                _note,
                who=visit.agent.name,
                agent_id=visit.agent.id,
                ids=(self._world.new_id(), self._world.new_id()),
                export={
                    "format": format_,
                    "count": count,
                    "conversations": tuple(sorted(conversations)),
                    "made_at": self._world.now(),
                },
            )
        )
        name = f"corrections-{self._world.now():%Y-%m-%d}.{ending}"
        return web.Response(
            body=out.getvalue().encode(),
            content_type=content_type,
            charset="utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _note(
    connection: Connection, *, who: str, agent_id: str, ids: tuple[str, str], export: dict[str, Any]
) -> bool:
    exports.record(connection, Export(id=ids[0], kind="corrections", actor=who, **export))
    audit.note(
        connection,
        id_=ids[1],
        who=(agent_id, "export_corrections", export["format"]),
        detail={"count": export["count"]},
        now=export["made_at"],
    )
    return True


def _day(visit: Visit, name: str) -> date | None:
    text = visit.query.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RequestError(400, name, "it is no date", "write it as 2026-01-31") from None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
