"""The outbox in the log: what platforms still have to be given, one claimed message at a time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, exists, func, or_, select, update

from bot.log import tables

_outbox = tables.outbox
_earlier = tables.outbox.alias("earlier")
_message = tables.message
_conversation = tables.conversation

# The first queued message of each conversation: the others wait for it.
_DUE = (
    select(_outbox.c.id)
    .where(
        _outbox.c.state == "queued",
        _outbox.c.channel.in_(bindparam("channels", expanding=True)),
        _outbox.c.next_at <= bindparam("now"),
        or_(_outbox.c.claimed_until.is_(None), _outbox.c.claimed_until < bindparam("now")),
        ~exists().where(
            and_(
                _earlier.c.conversation_id == _outbox.c.conversation_id,
                _earlier.c.state == "queued",
                _earlier.c.seq < _outbox.c.seq,
            )
        ),
    )
    .order_by(_outbox.c.next_at)
    .limit(bindparam("most"))
)
_DUE_UNLOCKED = _DUE.with_for_update(skip_locked=True, of=_outbox)
_CLAIM = (
    update(_outbox)
    .where(_outbox.c.id == bindparam("row"), _outbox.c.state == "queued")
    .values(claimed_until=bindparam("until"), attempts=_outbox.c.attempts + 1)
)
_SETTLE = (
    update(_outbox)
    .where(_outbox.c.id == bindparam("row"), _outbox.c.state == "queued")
    .values(
        state=bindparam("to"),
        error=bindparam("why"),
        next_at=bindparam("at"),
        claimed_until=None,
    )
)


def claim(
    connection: Connection, *, channels: Sequence[str], most: int, lease_s: float, now: datetime
) -> list[dict[str, Any]]:
    """Take up to `most` due messages for `lease_s`; each with its text, its tries and its customer.

    What another gateway has taken is left alone.
    """
    due = _DUE_UNLOCKED if connection.dialect.name == "postgresql" else _DUE
    ids = list(
        connection.execute(due, {"channels": list(channels), "now": now, "most": most}).scalars()
    )
    if not ids:
        return []
    until = now + timedelta(seconds=lease_s)
    connection.execute(_CLAIM, [{"row": row, "until": until} for row in ids])
    rows = connection.execute(
        select(
            _message,
            _outbox.c.attempts,
            _outbox.c.created_at.label("queued_at"),
            _conversation.c.last_inbound_at,
            tables.agent.c.name.label("agent_name"),
        )
        .join(_outbox, _outbox.c.id == _message.c.id)
        .join(_conversation, _conversation.c.id == _message.c.conversation_id)
        .join(tables.agent, tables.agent.c.id == _message.c.agent_id, isouter=True)
        .where(_message.c.id.in_(ids))
    )
    return [dict(row) for row in rows.mappings()]


def settle(
    connection: Connection, *, row: str, state: str, error: str | None, next_at: datetime
) -> bool:
    """Note how a try went: `sent`, `failed` for good, or `queued` until `next_at`."""
    changed = connection.execute(_SETTLE, {"row": row, "to": state, "why": error, "at": next_at})
    return bool(changed.rowcount)


def listing(connection: Connection, *, state: str, limit: int) -> list[dict[str, Any]]:
    """Rows of the outbox in a state, the oldest first, without their texts."""
    rows = connection.execute(
        select(_outbox).where(_outbox.c.state == state).order_by(_outbox.c.created_at).limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def find(connection: Connection, *, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The rows under these ids, as far as there are any."""
    rows = connection.execute(
        select(_outbox).where(_outbox.c.id.in_(ids)).order_by(_outbox.c.created_at)
    )
    return [dict(row) for row in rows.mappings()]


def counts(connection: Connection) -> dict[str, int]:
    """How many rows are in each state."""
    rows = connection.execute(select(_outbox.c.state, func.count()).group_by(_outbox.c.state))
    return {row[0]: row[1] for row in rows}


def retry(connection: Connection, *, ids: Sequence[str] | None, now: datetime) -> int:
    """Queue dead letters again, all of them when `ids` is None; returns how many."""
    change = update(_outbox).where(_outbox.c.state == "failed")
    if ids is not None:
        change = change.where(_outbox.c.id.in_(ids))
    # A fresh start: patience counts from now on.
    changed = connection.execute(
        change.values(state="queued", attempts=0, error=None, next_at=now, created_at=now)
    )
    return int(changed.rowcount)


def drop(connection: Connection, *, ids: Sequence[str]) -> int:
    """Take messages out of the outbox; they stay in their conversations. Returns how many."""
    gone = connection.execute(
        tables.outbox.delete().where(_outbox.c.id.in_(ids), _outbox.c.state != "sent")
    )
    return int(gone.rowcount)
