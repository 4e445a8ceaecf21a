"""All rows that belong to conversations, found by following the foreign keys of all tables.

A new table is found by itself: it is counted before an erasure, must be empty of the conversation
after it, and is part of what a customer is given who asks what is held.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, func, or_, select

from bot.log import tables

_BATCH = 200  # ids in one IN (...)


def table_paths() -> dict[Table, list[tuple[Column[Any], Table]]]:
    """By table, parents first: its foreign keys into the conversation or what hangs on it."""
    found: dict[Table, list[tuple[Column[Any], Table]]] = {tables.conversation: []}
    for table in tables.metadata.sorted_tables:
        keys = [
            (key.parent, key.column.table)
            for key in sorted(table.foreign_keys, key=lambda key: key.parent.name)
            if key.column.table in found and key.column.table is not table
        ]
        direct = [pair for pair in keys if pair[1] is tables.conversation]
        if keys:
            # By the conversation's own id where there is one: its index is the shortest way.
            found[table] = direct or keys
    return found


def belongs(table: Table, ids: Sequence[str]) -> ColumnElement[bool]:
    """Whether a row of a table of `table_paths` belongs to one of these conversations."""
    return _belongs(table, ids, table_paths())


def count(connection: Connection, *, ids: Sequence[str]) -> dict[str, int]:
    """How many rows each table has of these conversations; tables without any are left out."""
    paths = table_paths()
    counts: dict[str, int] = {}
    for batch in _batches(ids):
        for table in paths:
            query = select(func.count()).select_from(table).where(_belongs(table, batch, paths))
            number = connection.execute(query).scalar_one()
            if number:
                counts[table.name] = counts.get(table.name, 0) + number
    return counts


def rows(
    connection: Connection, *, ids: Sequence[str]
) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """All rows of these conversations, table by table."""
    paths = table_paths()
    for table in paths:
        found: list[dict[str, Any]] = []
        for batch in _batches(ids):
            query = select(table).where(_belongs(table, batch, paths))
            found += [dict(row) for row in connection.execute(query).mappings()]
        if found:
            yield table, found


def _belongs(
    table: Table, ids: Sequence[str], paths: dict[Table, list[tuple[Column[Any], Table]]]
) -> ColumnElement[bool]:
    if table is tables.conversation:
        return tables.conversation.c.id.in_(ids)
    ways: list[ColumnElement[bool]] = []
    for column, parent in paths[table]:
        if parent is tables.conversation:
            ways.append(column.in_(ids))
        else:
            (key,) = parent.primary_key.columns
            ways.append(column.in_(select(key).where(_belongs(parent, ids, paths))))
    return or_(*ways)


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _BATCH):
        yield ids[start : start + _BATCH]
