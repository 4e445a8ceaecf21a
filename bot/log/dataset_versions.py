"""The versions of the training data in the database: which there are, and what was erased."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables

_version = tables.dataset_version
_ADD = {
    name: dialect.insert(_version).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}

Row = dict[str, Any]


def register(connection: Connection, *, row: Mapping[str, Any]) -> bool:
    """Keep that a version was sealed, `row` of its manifest; again changes nothing."""
    connection.execute(_ADD[connection.dialect.name], dict(row))
    return True


def note_erased(connection: Connection, *, row: Mapping[str, Any]) -> bool:
    """Keep what a version is after an erasure, `row` of its manifest; False for an unknown one."""
    changed = {name: row[name] for name in ("sha256", "rows", "counts", "erased")}
    done = connection.execute(
        update(_version).where(_version.c.version == row["version"]).values(**changed)
    )
    return bool(done.rowcount)


def find(connection: Connection, *, version: str) -> Row | None:
    """A version's row; None when it was never registered."""
    row = connection.execute(select(_version).where(_version.c.version == version)).mappings()
    found = row.one_or_none()
    return None if found is None else dict(found)


def listing(connection: Connection, *, limit: int) -> list[Row]:
    """The newest versions, newest first."""
    rows = connection.execute(select(_version).order_by(_version.c.version.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


def names(connection: Connection) -> list[str]:
    """All versions that were registered, the oldest first."""
    return list(
        connection.execute(select(_version.c.version).order_by(_version.c.version)).scalars()
    )
