"""Puts words into a conversation: the bot's, an agent's, the system's."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Connection, and_, bindparam, case, insert, or_, select, update

from bot.log import handoffs, inbox, tables
from bot.log.records import Speech

_conversation = tables.conversation
_message = tables.message

# Built once: SQLAlchemy then finds the compiled text in its cache.
TAKE_SEQ = (
    update(_conversation)
    .where(_conversation.c.id == bindparam("conversation"))
    .values(
        last_seq=_conversation.c.last_seq + bindparam("count"),
        updated_at=bindparam("now"),
    )
)
TAKE_SEQ_OUTBOUND = TAKE_SEQ.returning(
    _conversation.c.last_seq,
    _conversation.c.channel,
    _conversation.c.account,
    _conversation.c.status,
)
_SPEAK = TAKE_SEQ_OUTBOUND.values(
    unanswered_since=case(
        (
            or_(
                bindparam("only_a_notice", type_=Boolean),
                # Its words are not said: see `say`.
                and_(bindparam("of_turn", type_=Boolean), _conversation.c.status == "agent"),
            ),
            _conversation.c.unanswered_since,
        ),
        else_=None,
    )
)
_SPEAK_TURN = _SPEAK.values(inbox.TURNED_VALUES)
_ADD_REPLIES = insert(_message)
_ADD_OUTBOX = insert(tables.outbox)


def say(
    connection: Connection,
    *,
    speech: Speech,
    sending: frozenset[str],
    now: datetime,
    turned: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]] | None:
    """Add messages to the customer; None when there is no such conversation.

    Repeating what was said under the same id gives the earlier rows and says nothing again.
    `turned` is what a turn changes in the lists, of `inbox.note_turn`.
    """
    if not speech.replies:
        if turned is not None:
            connection.execute(inbox.TURNED, {"conversation": speech.conversation_id, **turned})
        return []
    if speech.repeatable:
        earlier = connection.execute(
            select(_message)
            .where(
                _message.c.id.in_([reply.id for reply in speech.replies]),
                _message.c.conversation_id == speech.conversation_id,
            )
            .order_by(_message.c.seq)
        )
        if said := [dict(row) for row in earlier.mappings()]:
            return said
    taken = connection.execute(
        _SPEAK if turned is None else _SPEAK_TURN,
        {
            **(turned or {}),
            "conversation": speech.conversation_id,
            "count": len(speech.replies),
            "now": now,
            "only_a_notice": all(reply.author == "system" for reply in speech.replies),
            "of_turn": speech.turn_id is not None,
        },
    ).one_or_none()
    if taken is None:
        return None
    if speech.turn_id is not None and taken.status == "agent":
        # An agent has come while the bot was at it: the turn is on record, its words are not said.
        connection.execute(
            TAKE_SEQ_OUTBOUND,
            {"conversation": speech.conversation_id, "count": -len(speech.replies), "now": now},
        )
        return []
    first_seq = taken.last_seq - len(speech.replies) + 1
    rows: list[dict[str, Any]] = [
        {
            "id": reply.id,
            "conversation_id": speech.conversation_id,
            "seq": first_seq + position,
            "direction": "out",
            "author": reply.author,
            "agent_id": reply.agent_id,
            "channel": taken.channel,
            "account": taken.account,
            "message_id": None,
            "text": reply.text,
            "buttons": reply.buttons,
            "extra": reply.extra,
            "attachments": reply.attachments,
            "metadata": reply.metadata,
            "state": "sent",
            "turn_id": speech.turn_id,
            "created_at": now,
        }
        for position, reply in enumerate(speech.replies)
    ]
    connection.execute(_ADD_REPLIES, rows)
    if any(reply.author == "agent" for reply in speech.replies):
        handoffs.answered(connection, conversation_id=speech.conversation_id, now=now)
        inbox.note_agents_words(connection, speech=speech)
    if taken.channel in sending:
        connection.execute(
            _ADD_OUTBOX,
            [
                {key: row[key] for key in ("id", "conversation_id", "channel", "account", "seq")}
                | {"state": "queued", "attempts": 0, "next_at": now, "created_at": now}
                for row in rows
            ],
        )
    return rows
