"""The kinds of turns that the database knows, so that few turns have to tell it."""

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables
from bot.log.turn_kinds import Kind, row_of

ADD_KIND = {
    name: dialect.insert(tables.turn_kind)
    .on_conflict_do_nothing()
    .execution_options(preserve_rowcount=True)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


class KnownKinds:
    """Remembers kinds that were committed; one that is new in a transaction may yet be undone."""

    def __init__(self) -> None:
        self._committed: WeakKeyDictionary[Engine, dict[Kind, int]] = WeakKeyDictionary()
        # Of each engine the transaction that is on, and the kinds that it has added.
        self._added: WeakKeyDictionary[Engine, tuple[Any, set[Kind]]] = WeakKeyDictionary()

    def keep(self, connection: Connection, kind: Kind) -> int:
        """The number of a kind, which the database knows from now on."""
        committed = self._committed.setdefault(connection.engine, {})
        known = committed.get(kind)
        if known is not None:
            return known
        transaction, added = self._added.get(connection.engine, (None, set()))
        if transaction is not connection.get_transaction():
            added = set()
            self._added[connection.engine] = (connection.get_transaction(), added)
        kind_id = kind.id
        added_now = connection.execute(ADD_KIND[connection.dialect.name], row_of(kind)).rowcount
        if added_now:
            added.add(kind)
        elif kind not in added:
            # It was there before this transaction began.
            committed[kind] = kind_id
        return kind_id
