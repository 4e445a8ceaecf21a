"""What customers say of answers (a thumb each) and of conversations (stars)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import inbox, tables, voice_changes

_conversation = tables.conversation
_feedback = tables.feedback
_message = tables.message

# The id says what the feedback is of: the same customer saying it again replaces it.
THUMB_ID = "thumb:"
RATING_ID = "rating:"


def _replacing(dialect: Any) -> Any:
    new = dialect.insert(_feedback)
    return new.on_conflict_do_update(
        index_elements=[_feedback.c.id],
        set_={name: new.excluded[name] for name in ("score", "comment", "created_at")},
    )


_SAY = {"sqlite": _replacing(sqlite), "postgresql": _replacing(postgresql)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumb:
    """1 or -1 for one message of the bot."""

    conversation_id: str
    message_id: str
    score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """1 to 5 for the conversation; the comment is free of personal data."""

    conversation_id: str
    score: int
    comment: str | None = None


def _unsay(connection: Connection, id_: str, conversation_id: str) -> None:
    # What is replaced was in the figures of its day, and of the contact that went on then.
    earlier = connection.execute(
        select(_feedback.c.created_at).where(_feedback.c.id == id_)
    ).scalar_one_or_none()
    if earlier is not None:
        voice_changes.mark_conversation(
            connection, conversation_id=conversation_id, since=earlier - timedelta(days=1)
        )


def keep_thumb(connection: Connection, *, thumb: Thumb, now: datetime) -> bool:
    """Keep or replace a thumb; False when the bot said no such message in the conversation."""
    row = connection.execute(
        select(_message.c.turn_id).where(
            _message.c.id == thumb.message_id,
            _message.c.conversation_id == thumb.conversation_id,
            _message.c.direction == "out",
            _message.c.author == "bot",
        )
    ).one_or_none()
    if row is None:
        return False
    _unsay(connection, THUMB_ID + thumb.message_id, thumb.conversation_id)
    connection.execute(
        _SAY[connection.dialect.name],
        {
            "id": THUMB_ID + thumb.message_id,
            "conversation_id": thumb.conversation_id,
            "turn_id": row.turn_id,
            "kind": "thumb",
            "score": thumb.score,
            "comment": None,
            "created_at": now,
        },
    )
    return True


def keep_rating(connection: Connection, *, rating: Rating, now: datetime) -> bool:
    """Keep or replace a conversation's rating; False when there is no such conversation."""
    known = connection.execute(
        select(_conversation.c.id).where(_conversation.c.id == rating.conversation_id)
    ).one_or_none()
    if known is None:
        return False
    _unsay(connection, RATING_ID + rating.conversation_id, rating.conversation_id)
    connection.execute(
        _SAY[connection.dialect.name],
        {
            "id": RATING_ID + rating.conversation_id,
            "conversation_id": rating.conversation_id,
            "turn_id": None,
            "kind": "rating",
            "score": rating.score,
            "comment": rating.comment,
            "created_at": now,
        },
    )
    inbox.refresh(connection, rating.conversation_id)
    return True
