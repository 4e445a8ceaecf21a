"""What the inbox shows of each conversation of a page."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from bot.log import tables
from bot.log.inbox import trend_of

_c = tables.conversation.c
_message = tables.message
_newer = tables.message.alias("newer")
_read = tables.inbox_read
_holder = tables.agent.alias("holder")
_assignee = tables.agent.alias("assignee")

SHOWN_CHARS = 300

Row = dict[str, Any]


def rows_of(connection: Connection, ids: Sequence[str], *, agent_id: str) -> list[Row]:
    """Rows in the order of `ids`, without those that are gone.

    A row has the conversation's columns that lists show, the `last_` message, `agent_name`,
    `assignee_name`, `trend` (a tuple of emotions, oldest first) and `unread`: whether the customer
    has written since this agent looked. What nobody waits for counts as read until an agent has
    looked once.
    """
    if not ids:
        return []
    unread = (
        select(_newer.c.seq)
        .where(
            _newer.c.conversation_id == _c.id,
            _newer.c.seq > func.coalesce(_read.c.seq, 0),
            _newer.c.author == "customer",
        )
        .correlate(tables.conversation, _read)
        .exists()
    )
    query = (
        select(
            _c.id,
            _c.channel,
            _c.status,
            _c.locale,
            _c.handoff_reason,
            _c.waiting_since,
            _c.unanswered_since,
            _c.updated_at,
            _c.agent_id,
            _c.assignee_id,
            _c.last_intent,
            _c.last_emotion,
            _c.emotion_trend,
            _c.rating,
            _c.reviewed,
            _c.had_fallback,
            _c.lowest_confidence,
            _holder.c.name.label("agent_name"),
            _assignee.c.name.label("assignee_name"),
            _message.c.author.label("last_author"),
            func.substr(_message.c.text, 1, SHOWN_CHARS).label("last_text"),
            _message.c.created_at.label("last_at"),
            _message.c.attachments.is_not(None).label("last_has_files"),
            and_(or_(_read.c.seq.is_not(None), _c.status.in_(("waiting", "agent"))), unread).label(
                "unread"
            ),
        )
        .outerjoin(_holder, _holder.c.id == _c.agent_id)
        .outerjoin(_assignee, _assignee.c.id == _c.assignee_id)
        .outerjoin(
            _message, and_(_message.c.conversation_id == _c.id, _message.c.seq == _c.last_seq)
        )
        .outerjoin(_read, and_(_read.c.conversation_id == _c.id, _read.c.agent_id == agent_id))
        .where(_c.id.in_(ids))
    )
    found = {row["id"]: dict(row) for row in connection.execute(query).mappings()}
    for row in found.values():
        row["trend"] = trend_of(row.pop("emotion_trend"))
        row["hit"] = None
        row["angry"] = row["last_emotion"] == "angry" or (
            row["status"] == "waiting" and row["handoff_reason"] == "emotion"
        )
    return [found[id_] for id_ in ids if id_ in found]


def texts_of(connection: Connection, message_ids: Sequence[str]) -> dict[str, str]:
    """The beginnings of messages by id."""
    if not message_ids:
        return {}
    found = connection.execute(
        select(_message.c.id, func.substr(_message.c.text, 1, SHOWN_CHARS)).where(
            _message.c.id.in_(message_ids)
        )
    )
    return {id_: text for id_, text in found if text}
