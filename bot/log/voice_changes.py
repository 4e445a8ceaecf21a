"""Marks the days whose figures a late change has made wrong, so that they are counted again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Select, delete, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables

_change = tables.voice_change
_state = tables.voice_state
# Two gateways may mark the same at once.
_NEW: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_ADD = {name: new(_change).on_conflict_do_nothing() for name, new in _NEW.items()}


def mark(connection: Connection, *, id_: str, at: datetime) -> None:
    """What happened at `at` is not so any more. `id_` tells one change from another."""
    connection.execute(_ADD[connection.dialect.name], {"id": id_, "at": at})


def mark_conversation(
    connection: Connection, *, conversation_id: str, since: datetime | None = None
) -> None:
    """To be called before a conversation is erased: every day on which it was in the figures.

    With `since`, only from that moment on.
    """
    turn, feedback, handoff = tables.turn, tables.feedback, tables.handoff
    marks: list[tuple[str, Any, Any]] = [
        ("turn", turn, turn.c.created_at),
        ("feedback", feedback, feedback.c.created_at),
        ("handoff", handoff, handoff.c.at),
        ("answered", handoff, handoff.c.answered_at),
    ]
    for kind, table, moment in marks:
        found: Select[Any] = select(literal(f"{kind}:") + table.c.id, moment).where(
            table.c.conversation_id == conversation_id, moment.is_not(None)
        )
        if since is not None:
            found = found.where(moment >= since)
        new = _NEW[connection.dialect.name](_change).from_select(["id", "at"], found)
        connection.execute(new.on_conflict_do_nothing())


def pending(connection: Connection) -> dict[str, datetime]:
    """The marks that wait: moment by id."""
    rows = connection.execute(select(_change.c.id, _change.c.at).limit(10_000))
    return {row.id: row.at for row in rows}


def forget(connection: Connection, ids: list[str]) -> None:
    """These were counted again."""
    for first in range(0, len(ids), 500):
        connection.execute(delete(_change).where(_change.c.id.in_(ids[first : first + 500])))


def freeze(connection: Connection, *, before: datetime) -> None:
    """To be called before retention removes what is older than a moment: figures of those days,
    the moment's own among them, stay as they are."""
    zone = connection.execute(select(_state.c.zone)).scalar_one_or_none()
    day = before.astimezone(UTC if zone is None else ZoneInfo(zone)).date() + timedelta(days=1)
    connection.execute(
        update(_state)
        .where((_state.c.frozen_before.is_(None)) | (_state.c.frozen_before < day))
        .values(frozen_before=day)
    )
