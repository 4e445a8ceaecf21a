"""Deletes the rows of conversations, and what the audit log says of them in words."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from bot.log import audit, tables, voice_changes

# Of one transaction: others wait for it.
MESSAGES_AT_ONCE = 500
ERASE = "erase"

_conversation = tables.conversation
_message = tables.message
_audit = tables.audit


def thin_out(connection: Connection, *, ids: Sequence[str]) -> int:
    """Delete some of the oldest messages with all that hangs on them; returns how many.

    0 once there are few enough left to go with their conversations in one transaction.
    """
    there = connection.execute(
        select(func.count()).select_from(_message).where(_message.c.conversation_id.in_(ids))
    ).scalar_one()
    if there <= MESSAGES_AT_ONCE:
        return 0
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
) -> int:
    """Delete the conversations with all that hangs on them; returns how many there were.

    trace: who, for which request, and an id for each audit row. With None their time was up: that
    leaves no row, and the figures that they were counted in stay as they are.
    """
    there = list(
        connection.execute(select(_conversation.c.id).where(_conversation.c.id.in_(ids))).scalars()
    )
    if trace is not None:
        _mark(connection, there)
    connection.execute(delete(_message).where(_message.c.conversation_id.in_(there)))
    connection.execute(delete(_conversation).where(_conversation.c.id.in_(there)))
    # What an agent noted of the customer; who looked at whose conversation, and when, stays.
    connection.execute(
        update(_audit)
        .where(_audit.c.target.in_(ids), _audit.c.action != ERASE, _audit.c.detail.is_not(None))
        .values(detail=None)
    )
    if trace is not None:
        actor, request, audit_ids = trace
        for id_, audit_id in zip(there, audit_ids, strict=False):
            who = (actor, ERASE, id_)
            audit.note(connection, id_=audit_id, who=who, detail={"request": request}, now=now)
    return len(there)


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
