"""What stands beside a transcript: who has it, how the customer felt, what else they asked."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from bot.log import tables
from bot.log.feedback import RATING_ID

_conversation = tables.conversation
_message = tables.message
_turn = tables.turn
_feedback = tables.feedback
_holder = tables.agent.alias("holder")
_assignee = tables.agent.alias("assignee")

# How many feelings and how many other conversations are shown.
MOST_FEELINGS = 30
MOST_OTHERS = 10

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The conversation's row with `holder_name` and `assignee_name`, and what goes with it.

    `feelings` are the emotions of the last turns, oldest first; `rating` the customer's stars with
    the comment, or None; `others` the newest other conversations of the same customer.
    """

    row: Row
    feelings: list[Row]
    rating: Row | None
    others: list[Row]


def standing(connection: Connection, *, conversation_id: str) -> Row | None:
    """The conversation's row with the names of who has it and whom it is meant for."""
    query = (
        select(
            _conversation,
            _holder.c.name.label("holder_name"),
            # Who has no access any more is nobody to wait for.
            _assignee.c.name.label("assignee_name"),
        )
        .outerjoin(_holder, _holder.c.id == _conversation.c.agent_id)
        .outerjoin(
            _assignee,
            (_assignee.c.id == _conversation.c.assignee_id) & _assignee.c.disabled_at.is_(None),
        )
        .where(_conversation.c.id == conversation_id)
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def read(connection: Connection, *, conversation_id: str) -> Surroundings | None:
    """All of it; None when there is no such conversation."""
    row = standing(connection, conversation_id=conversation_id)
    if row is None:
        return None
    rating = connection.execute(
        select(_feedback.c.score, _feedback.c.comment, _feedback.c.created_at).where(
            _feedback.c.id == RATING_ID + conversation_id
        )
    ).mappings()
    found = rating.one_or_none()
    return Surroundings(
        row=row,
        feelings=_feelings(connection, conversation_id),
        rating=None if found is None else dict(found),
        others=_others(connection, row),
    )


def _feelings(connection: Connection, conversation_id: str) -> list[Row]:
    # By the messages' order, which has an index; the turns of a long conversation are not sorted.
    query = (
        select(_message.c.seq, _turn.c.emotion, _turn.c.emotion_confidence, _turn.c.created_at)
        .join(_turn, _turn.c.inbound_id == _message.c.id)
        .where(_message.c.conversation_id == conversation_id, _turn.c.emotion.is_not(None))
        .order_by(_message.c.seq.desc())
        .limit(MOST_FEELINGS)
    )
    return [dict(row) for row in connection.execute(query).mappings()][::-1]


def _others(connection: Connection, row: Row) -> list[Row]:
    if row["customer_id"] is None:
        return []
    columns = ("id", "channel", "status", "handoff_reason", "outcome", "created_at", "updated_at")
    query = (
        select(*(_conversation.c[name] for name in columns))
        .where(
            _conversation.c.customer_id == row["customer_id"],
            _conversation.c.id != row["id"],
        )
        .order_by(_conversation.c.updated_at.desc(), _conversation.c.id.desc())
        .limit(MOST_OTHERS)
    )
    return [dict(one) for one in connection.execute(query).mappings()]
