"""The audit log for administrators: looked through by filters, and saved as CSV."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from aiohttp import web

from bot.console import csv_file
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.log import audit_trail
from bot.log.audit_trail import Wanted

_PAGE = 50
_EXPORT_PAGE = 1000
_FILTERS = ("actor", "action", "target", "from", "to")
_COLUMNS = ("time", "actor", "actor_name", "action", "target", "target_name", "detail")


class Trail:
    """The routes at /audit."""

    def __init__(self, gateway: Gateway) -> None:
        self._journal = gateway.journal
        self._world = gateway.world

    async def show(self, visit: Visit) -> web.Response:
        """A page of rows, newest first."""
        wanted = _wanted(visit, _PAGE)
        rows, end = await self._journal.browse(partial(audit_trail.page, wanted=wanted))
        actions = await self._journal.browse(audit_trail.actions)
        fields = {name: visit.query.get(name, "") for name in _FILTERS}
        return visit.page(
            "people/audit.html",
            rows=rows,
            actions=actions,
            fields=fields,
            next_after=None if end is None else audit_trail.write_cursor(end),
            is_first=wanted.after is None,
            shown=_shown,
        )

    async def export(self, visit: Visit) -> web.Response:
        """All rows of the filters."""
        wanted = _wanted(visit, _EXPORT_PAGE)
        name = f"audit-{self._world.now():%Y%m%d}.csv"
        return csv_file.attachment(name, _COLUMNS, self._all(wanted))

    async def _all(self, wanted: Wanted) -> AsyncIterator[list[Any]]:
        more = True
        while more:
            rows, end = await self._journal.browse(partial(audit_trail.page, wanted=wanted))
            for row in rows:
                yield [
                    row["created_at"],
                    row["actor"],
                    row["actor_name"],
                    row["action"],
                    row["target"],
                    row["target_name"],
                    json.dumps(row["detail"], ensure_ascii=False) if row["detail"] else None,
                ]
            more = end is not None
            if end is not None:
                wanted = audit_trail.following(wanted, end)


def _wanted(visit: Visit, limit: int) -> Wanted:
    query = visit.query
    since, to = (_day(query.get(name, ""), name) for name in ("from", "to"))
    after = None
    if "after" in query:
        after = audit_trail.read_cursor(query["after"])
        if after is None:
            raise RequestError(400, "after", "it is no cursor", "follow the links between pages")
    actor, action, target = (_text(query.get(name, ""), name) for name in _FILTERS[:3])
    return Wanted(
        actor=actor,
        action=action,
        target=target,
        since=since,
        before=None if to is None else to + timedelta(days=1),
        after=after,
        limit=limit,
    )


def _text(raw: str, field: str) -> str | None:
    text = raw.strip()
    if not text.isprintable():
        raise RequestError(400, field, "it is not one printable line", "type it again")
    return text or None


def _day(raw: str, field: str) -> datetime | None:
    if not raw:
        return None
    try:
        day = date.fromisoformat(raw)
    except ValueError:
        day = date.min
    if not 1970 <= day.year <= 2999:
        raise RequestError(400, field, "it is no date", "write it as 2026-01-31")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _shown(detail: dict[str, Any] | None) -> str:
    """A row's detail in one line."""
    return ", ".join(f"{name}: {value}" for name, value in (detail or {}).items())
