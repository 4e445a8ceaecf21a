"""How long what is kept, and what is older: counted, and deleted in small batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Table,
    Text,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)

from bot.log import tables
from bot.log.tables import retention_rule as _rule
from bot.log.tables import retention_run as _run

# Days by kind; 0 keeps for ever.
DEFAULTS = {
    # Without activity for so long.
    "conversations": 0,
    "files": 0,
    # Sent, and then used by no message.
    "uploads": 1,
    # Of the console, since they ended.
    "sessions": 30,
    # Rows of the register of exports; the files themselves are whose who wrote them.
    "exports": 0,
    "audit": 0,
}
MOST_DAYS = 36_500
RUN_EVERY = timedelta(days=1)
LEASE = timedelta(minutes=10)
# Rows of one transaction.
AT_ONCE = 200

_conversation = tables.conversation
_file = tables.file
_message = tables.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A kind's rule; `changed_by` is None while it is the default."""

    kind: str
    days: int
    changed_by: str | None = None
    changed_at: datetime | None = None


def rules(connection: Connection) -> dict[str, Rule]:
    """All rules, by kind."""
    changed = {row.kind: row for row in connection.execute(select(_rule))}
    found = {}
    for kind, days in DEFAULTS.items():
        row = changed.get(kind)
        found[kind] = (
            Rule(kind=kind, days=days)
            if row is None
            else Rule(
                kind=kind, days=row.days, changed_by=row.changed_by, changed_at=row.changed_at
            )
        )
    return found


def change(
    connection: Connection, *, days: Mapping[str, int], changed_by: str, now: datetime
) -> dict[str, tuple[int, int]]:
    """Set rules; by kind that was changed: the days before and now."""
    earlier = rules(connection)
    changed = {
        kind: (earlier[kind].days, wanted)
        for kind, wanted in days.items()
        if earlier[kind].days != wanted
    }
    for kind, (_, wanted) in changed.items():
        values = {"days": wanted, "changed_by": changed_by, "changed_at": now}
        done = connection.execute(update(_rule).where(_rule.c.kind == kind).values(values))
        if not done.rowcount:
            connection.execute(insert(_rule).values(kind=kind, **values))
    return changed


def count(connection: Connection, *, kind: str, before: datetime) -> int:
    """How many rows of a kind are older than a moment."""
    query = select(func.count()).select_from(_OLD[kind](before).subquery())
    return int(connection.execute(query).scalar_one())


def old_conversations(connection: Connection, *, before: datetime) -> list[str]:
    """Some conversations without activity since a moment."""
    return list(
        connection.execute(
            _old_conversations(before).order_by(_conversation.c.updated_at).limit(AT_ONCE)
        ).scalars()
    )


def still_old(connection: Connection, *, ids: Sequence[str], before: datetime) -> list[str]:
    """Those of these conversations that are too old now; who would write in them waits."""
    query = _old_conversations(before).where(_conversation.c.id.in_(ids))
    return list(connection.execute(query.with_for_update()).scalars())


def delete_some(connection: Connection, *, kind: str, before: datetime) -> int:
    """Delete some rows of a kind other than conversations; returns how many."""
    table, key = _TABLES[kind]
    some = _OLD[kind](before).limit(AT_ONCE)
    return int(connection.execute(delete(table).where(table.c[key].in_(some))).rowcount)


def begin(connection: Connection, *, now: datetime, due: datetime | None) -> bool:
    """Claim a run over all rules; False when another is at it, or the last began after `due`."""
    row = connection.execute(select(_run).with_for_update()).mappings().one_or_none()
    if row is None:
        connection.execute(insert(_run).values(id=1, started_at=now, claimed_until=now + LEASE))
        return True
    if row["claimed_until"] is not None and row["claimed_until"] > now:
        return False
    if due is not None and row["started_at"] is not None and row["started_at"] > due:
        return False
    connection.execute(update(_run).values(started_at=now, claimed_until=now + LEASE))
    return True


def finish(connection: Connection, *, removed: Mapping[str, int], now: datetime) -> bool:
    """Close a run."""
    connection.execute(
        update(_run).values(claimed_until=None, finished_at=now, removed=dict(removed))
    )
    return True


def last_run(connection: Connection) -> dict[str, Any] | None:
    """The last run; None when there was none."""
    row = connection.execute(select(_run)).mappings().one_or_none()
    return None if row is None else dict(row)


def _old_conversations(before: datetime) -> Select[Any]:
    # Who waits for a person, or is with one, is not a matter of time.
    return select(_conversation.c.id).where(
        _conversation.c.updated_at < before, _conversation.c.status.in_(["bot", "closed"])
    )


def _old_uploads(before: datetime) -> Select[Any]:
    """Files that no message of their conversation names."""
    used = (
        select(_message.c.id)
        .where(
            _message.c.conversation_id == _file.c.conversation_id,
            _message.c.attachments.is_not(None),
            cast(_message.c.attachments, Text).contains(_file.c.id),
        )
        .exists()
    )
    return select(_file.c.id).where(_file.c.created_at < before, ~used)


_OLD: dict[str, Callable[[datetime], Select[Any]]] = {
    "conversations": _old_conversations,
    "files": lambda before: select(_file.c.id).where(_file.c.created_at < before),
    "uploads": _old_uploads,
    "sessions": lambda before: select(tables.session.c.id).where(
        tables.session.c.expires_at < before
    ),
    "exports": lambda before: select(tables.export_record.c.id).where(
        tables.export_record.c.made_at < before
    ),
    "audit": lambda before: select(tables.audit.c.id).where(tables.audit.c.created_at < before),
}
_TABLES: dict[str, tuple[Table, str]] = {
    "files": (_file, "id"),
    "uploads": (_file, "id"),
    "sessions": (tables.session, "id"),
    "exports": (tables.export_record, "id"),
    "audit": (tables.audit, "id"),
}
