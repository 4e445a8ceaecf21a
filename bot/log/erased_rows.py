"""Deletes the rows of conversations, and what the audit log says of them in words."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, union_all, update

from bot.log import audit, tables, voice_changes
from bot.log.retention import still_old

# Of one transaction: others wait for it.
MESSAGES_AT_ONCE = 500
_BATCH = 200  # keys in one IN (...)
ERASE = "erase"

_conversation = tables.conversation
_message = tables.message
_audit = tables.audit


def there(connection: Connection, *, ids: Sequence[str]) -> set[str]:
    """Which of these conversations are in the log."""
    found: set[str] = set()
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        query = select(_conversation.c.id).where(_conversation.c.id.in_(batch))
        found.update(connection.execute(query).scalars())
    return found


def is_there(connection: Connection, conversation_id: str) -> bool:
    """Whether a conversation is in the log; it cannot be erased before this transaction ends."""
    query = select(_conversation.c.id).where(_conversation.c.id == conversation_id)
    return connection.execute(query.with_for_update(read=True)).first() is not None


def clear_details(connection: Connection, *, ids: Sequence[str]) -> int:
    """Empty what the audit log says of messages and turns of these conversations; how many rows."""
    of_them = union_all(
        *(
            select(table.c.id).where(table.c.conversation_id.in_(ids))
            for table in (_message, tables.turn)
        )
    )
    changed = connection.execute(
        update(_audit)
        .where(_audit.c.target.in_(of_them), _audit.c.detail.is_not(None))
        .values(detail=None)
    )
    return int(changed.rowcount)


def thin_out(connection: Connection, *, ids: Sequence[str], before: datetime | None = None) -> int:
    """Delete some of the oldest messages with all that hangs on them; returns how many.

    0 once there are few enough left to go with their conversations in one transaction. `before`:
    as in `remove`.
    """
    if before is not None:
        ids = still_old(connection, ids=ids, before=before)
    there = connection.execute(
        select(func.count()).select_from(_message).where(_message.c.conversation_id.in_(ids))
    ).scalar_one()
    if there <= MESSAGES_AT_ONCE:
        return 0
    if before is None:
        _mark(connection, ids)
    some = (
        select(_message.c.id)
        .where(_message.c.conversation_id.in_(ids))
        .order_by(_message.c.conversation_id, _message.c.seq)
        .limit(MESSAGES_AT_ONCE)
    )
    return int(connection.execute(delete(_message).where(_message.c.id.in_(some))).rowcount)


def remove(
    connection: Connection,
    *,
    ids: Sequence[str],
    trace: tuple[str, str, Sequence[str]] | None,
    now: datetime,
    before: datetime | None = None,
) -> int:
    """Delete the conversations with all that hangs on them; returns how many there were.

    With `before` only those that may go because nothing was said in them since.

    trace: who, for which request, and an id for each audit row. With None their time was up: that
    leaves no row, and the figures that they were counted in stay as they are.
    """
    if before is not None:
        ids = still_old(connection, ids=ids, before=before)
    found = sorted(there(connection, ids=ids))
    if trace is not None:
        _mark(connection, found)
    connection.execute(delete(_message).where(_message.c.conversation_id.in_(found)))
    connection.execute(delete(_conversation).where(_conversation.c.id.in_(found)))
    # What an agent noted of the customer; who looked at whose conversation, and when, stays.
    connection.execute(
        update(_audit)
        .where(_audit.c.target.in_(ids), _audit.c.action != ERASE, _audit.c.detail.is_not(None))
        .values(detail=None)
    )
    if trace is not None:
        actor, request, audit_ids = trace
        for id_, audit_id in zip(found, audit_ids, strict=False):
            who = (actor, ERASE, id_)
            audit.note(connection, id_=audit_id, who=who, detail={"request": request}, now=now)
    return len(found)


def _mark(connection: Connection, ids: Sequence[str]) -> None:
    """The figures of their days are counted again, without them."""
    for id_ in ids:
        voice_changes.mark_conversation(connection, conversation_id=id_)


def forget_names(connection: Connection, *, names: Sequence[str]) -> int:
    """Take accounts and customers' ids out of the audit log's targets; returns how many."""
    changed = connection.execute(
        update(_audit).where(_audit.c.target.in_(names)).values(target="erased", detail=None)
    )
    return int(changed.rowcount)
