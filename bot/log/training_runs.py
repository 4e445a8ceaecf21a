"""Training runs in the log: one at a time, each looked after by one gateway."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from bot.log import tables

_run = tables.training_run

OPEN = ("queued", "running")
Row = dict[str, Any]


def open_run(connection: Connection) -> Row | None:
    """The run that is queued or running, if there is one."""
    row = connection.execute(select(_run).where(_run.c.slot == 1)).mappings().first()
    return None if row is None else dict(row)


def find(connection: Connection, *, run_id: str) -> Row | None:
    """The run under an id."""
    row = connection.execute(select(_run).where(_run.c.id == run_id)).mappings().first()
    return None if row is None else dict(row)


def open_since(connection: Connection, *, moment: datetime) -> list[Row]:
    """The runs that are open, or were at some time since a moment; the oldest first."""
    rows = connection.execute(
        select(_run)
        .where(or_(_run.c.slot == 1, _run.c.finished_at >= moment))
        .order_by(_run.c.created_at)
    )
    return [dict(row) for row in rows.mappings()]


def listing(connection: Connection, *, limit: int) -> list[Row]:
    """The newest runs, newest first."""
    rows = connection.execute(select(_run).order_by(_run.c.created_at.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


def last_success(connection: Connection, *, with_corrections: bool) -> Row | None:
    """The newest run that made a version (with the corrections in its data)."""
    rows = connection.execute(
        select(_run)
        .where(_run.c.state == "succeeded", _run.c.version.is_not(None))
        .order_by(_run.c.created_at.desc())
    )
    for row in rows.mappings():
        # One that proves again made nothing.
        if row["options"].get("again") is not None:
            continue
        if not with_corrections or row["options"].get("corrections"):
            return dict(row)
    return None


def begin(connection: Connection, *, row: Mapping[str, Any]) -> bool:
    """Queue a run; False while another is queued or running."""
    if open_run(connection) is not None:
        return False
    connection.execute(insert(_run), {**row, "state": "queued", "slot": 1})
    return True


def adopt(
    connection: Connection, *, run_id: str, seen_at: datetime, owner: str, now: datetime
) -> bool:
    """Take over a run not looked after since `seen_at`; False when another was first."""
    changed = connection.execute(
        update(_run)
        .where(_run.c.id == run_id, _run.c.slot == 1, _run.c.seen_at == seen_at)
        .values(owner=owner, seen_at=now)
    )
    return bool(changed.rowcount)


def note(connection: Connection, *, run_id: str, owner: str, values: Mapping[str, Any]) -> bool:
    """Keep what its owner has seen of an open run; False when it is not the owner's any more."""
    changed = connection.execute(
        update(_run)
        .where(_run.c.id == run_id, _run.c.owner == owner, _run.c.slot == 1)
        .values(**values)
    )
    return bool(changed.rowcount)


def finish(
    connection: Connection, *, run_id: str, state: str, values: Mapping[str, Any], now: datetime
) -> bool:
    """End an open run as `succeeded`, `failed` or `cancelled`; False when it had ended."""
    changed = connection.execute(
        update(_run)
        .where(_run.c.id == run_id, _run.c.slot == 1)
        .values(state=state, slot=None, finished_at=now, **values)
    )
    return bool(changed.rowcount)


def ask_cancel(connection: Connection, *, run_id: str, by: str) -> bool:
    """Ask the owner of an open run to stop it; False when there is none to stop."""
    changed = connection.execute(
        update(_run).where(_run.c.id == run_id, _run.c.slot == 1).values(cancel_by=by)
    )
    return bool(changed.rowcount)
