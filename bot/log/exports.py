"""The register of exports: what left the database, when, for whom, and where to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from bot.log.tables import export_record as _export
from bot.log.tables import turn as _turn

_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export; `path` is None for a download, `conversations` None for all of the time range."""

    id: str
    # turns, corrections, training, customer and so on.
    kind: str
    # jsonl, rasa, csv, json, zip
    format: str
    actor: str
    made_at: datetime
    # 0 while a file is being written.
    count: int
    path: str | None = None
    # Of the turns in it, by the moment they were committed.
    since: datetime | None = None
    until: datetime | None = None
    conversations: tuple[str, ...] | None = None


def record(connection: Connection, export: Export) -> bool:
    """Put an export into the register."""
    connection.execute(
        insert(_export),
        {
            "id": export.id,
            "kind": export.kind,
            "format": export.format,
            "actor": export.actor,
            "path": export.path,
            "since": export.since,
            "until": export.until,
            "count": export.count,
            "conversations": None if export.conversations is None else list(export.conversations),
            "made_at": export.made_at,
        },
    )
    return True


def complete(
    connection: Connection,
    *,
    id_: str,
    count: int,
    conversations: Sequence[str] | None,
    made_at: datetime,
) -> bool:
    """Put down what an export came to that was put on record before its file was written."""
    values = {
        "count": count,
        "conversations": None if conversations is None else list(conversations),
        "made_at": made_at,
    }
    done = connection.execute(update(_export).where(_export.c.id == id_).values(**values))
    return bool(done.rowcount)


def latest(connection: Connection, *, most: int) -> list[dict[str, Any]]:
    """The newest exports."""
    rows = connection.execute(select(_export).order_by(_export.c.made_at.desc()).limit(most))
    return [dict(row) for row in rows.mappings()]


def touching(connection: Connection, *, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The exports that may hold turns of these conversations, the oldest first."""
    wanted = set(ids)
    moments: list[datetime] = []
    for start in range(0, len(ids), _BATCH):
        moments += connection.execute(
            select(_turn.c.created_at).where(
                _turn.c.conversation_id.in_(ids[start : start + _BATCH])
            )
        ).scalars()
    found = []
    for row in connection.execute(select(_export).order_by(_export.c.made_at)).mappings():
        if row["conversations"] is not None:
            touched = not wanted.isdisjoint(row["conversations"])
        else:
            touched = any(
                (row["since"] is None or row["since"] <= moment)
                and moment <= (row["until"] or row["made_at"])
                for moment in moments
            )
        if touched:
            found.append(dict(row))
    return found
