"""Handoffs one by one: when a person was called and why, and when one first answered."""

from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables

_handoff = tables.handoff
_BEGIN = {
    name: dialect.insert(_handoff).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
# An agent who came unasked.
TAKEN = "taken"


def begin(
    connection: Connection,
    *,
    conversation_id: str,
    reason: str,
    now: datetime,
    turn_id: str | None = None,
) -> None:
    """A person was called, by a turn or (without one) by the customer's button or by the agent."""
    connection.execute(
        _BEGIN[connection.dialect.name],
        {
            "id": turn_id or f"{conversation_id}-{now.isoformat()}",
            "conversation_id": conversation_id,
            "reason": reason,
            "turn_id": turn_id,
            "at": now,
        },
    )


def answered(connection: Connection, *, conversation_id: str, now: datetime) -> None:
    """A person has written: whoever was called last has come.

    An earlier handoff that nobody answered stays so: it went back to the bot, or was closed.
    """
    newest = (
        select(_handoff.c.id)
        .where(_handoff.c.conversation_id == conversation_id)
        .order_by(_handoff.c.at.desc(), _handoff.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(
        update(_handoff)
        .where(
            _handoff.c.id == newest,
            _handoff.c.answered_at.is_(None),
            _handoff.c.at <= now,
        )
        .values(answered_at=now)
    )
