"""Each change of the version that answers, and each trial of one: who, when, before what, why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from bot.log import tables

_promotion = tables.promotion

TRIALS = ("canary", "ab")
Row = dict[str, Any]


def open_trial(connection: Connection) -> Row | None:
    """The canary or A/B that is going on, if there is one."""
    row = connection.execute(select(_promotion).where(_promotion.c.slot == 1)).mappings().first()
    return None if row is None else dict(row)


def begin_trial(connection: Connection, *, row: Mapping[str, Any]) -> bool:
    """Open a trial; False while another is open."""
    if open_trial(connection) is not None:
        return False
    connection.execute(insert(_promotion), {**row, "state": "open", "slot": 1})
    return True


def begin_switch(connection: Connection, *, row: Mapping[str, Any]) -> None:
    """Note that a version is about to serve everyone; `finish` says whether it came to that."""
    connection.execute(insert(_promotion), {**row, "state": "open", "slot": None})


def record(connection: Connection, *, row: Mapping[str, Any]) -> None:
    """Note that a version serves everyone since the row's moment."""
    ended = {"state": "promoted", "slot": None, "finished_at": row["created_at"]}
    connection.execute(insert(_promotion), {**row, **ended})


def note(connection: Connection, *, id_: str, report: Mapping[str, Any]) -> bool:
    """Keep the figures of an open trial so far; False when it has ended."""
    changed = connection.execute(
        update(_promotion)
        .where(_promotion.c.id == id_, _promotion.c.state == "open")
        .values(report=dict(report))
    )
    return bool(changed.rowcount)


def finish(
    connection: Connection, *, id_: str, state: str, now: datetime, values: Mapping[str, Any]
) -> bool:
    """End what is open as `promoted`, `rolled_back` or `ended`; False when it had ended."""
    changed = connection.execute(
        update(_promotion)
        .where(_promotion.c.id == id_, _promotion.c.state == "open")
        .values(state=state, slot=None, finished_at=now, **values)
    )
    return bool(changed.rowcount)


def find(connection: Connection, *, id_: str) -> Row | None:
    """The row under an id."""
    row = connection.execute(select(_promotion).where(_promotion.c.id == id_)).mappings().first()
    return None if row is None else dict(row)


def listing(connection: Connection, *, limit: int) -> list[Row]:
    """The newest rows, newest first."""
    order = (_promotion.c.created_at.desc(), _promotion.c.id.desc())
    rows = connection.execute(select(_promotion).order_by(*order).limit(limit))
    return [dict(row) for row in rows.mappings()]


def unfinished_switches(connection: Connection, *, before: datetime) -> list[Row]:
    """Switches begun before a moment of which nobody said how they ended: their process died."""
    rows = connection.execute(
        select(_promotion).where(
            _promotion.c.state == "open",
            _promotion.c.slot.is_(None),
            _promotion.c.created_at < before,
        )
    )
    return [dict(row) for row in rows.mappings()]


def last_change(connection: Connection) -> Row | None:
    """The newest change of the version that serves everyone."""
    order = (_promotion.c.finished_at.desc(), _promotion.c.id.desc())
    row = connection.execute(
        select(_promotion).where(_promotion.c.state == "promoted").order_by(*order).limit(1)
    )
    found = row.mappings().first()
    return None if found is None else dict(found)
