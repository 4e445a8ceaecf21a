"""What a page of a conversation is read from: messages, who wrote them, and what was said of
them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, literal, select

from bot.log import tables
from bot.log.feedback import RATING_ID, THUMB_ID
from bot.log.records import Status

_conversation = tables.conversation
_message = tables.message
_agent = tables.agent
_feedback = tables.feedback
_rating = tables.feedback.alias("rating")

# Built once: SQLAlchemy then finds the compiled text in its cache.
_STANDING = (
    select(_conversation.c.status, _conversation.c.last_seq, _rating.c.score.label("rating"))
    .outerjoin(_rating, _rating.c.id == literal(RATING_ID) + _conversation.c.id)
    .where(_conversation.c.id == bindparam("conversation"))
)
_MESSAGES = (
    select(_message, _agent.c.name.label("agent_name"), _feedback.c.score.label("feedback"))
    .outerjoin(_agent, _agent.c.id == _message.c.agent_id)
    .outerjoin(
        _feedback,
        and_(
            _message.c.author == "bot",
            _feedback.c.id == literal(THUMB_ID) + _message.c.id,
        ),
    )
    .where(
        _message.c.conversation_id == bindparam("conversation"),
        _message.c.seq > bindparam("after"),
    )
    .order_by(_message.c.seq)
    .limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A stretch of a conversation: message rows with `agent_name` and `feedback`, by `seq`."""

    status: Status
    rating: int | None
    rows: list[dict[str, Any]]


def read_page(
    connection: Connection, *, conversation_id: str, after: int, limit: int
) -> Page | None:
    """The messages after `after`, at most `limit`; None when there is no such conversation."""
    standing = connection.execute(_STANDING, {"conversation": conversation_id}).one_or_none()
    if standing is None:
        return None
    rows: list[dict[str, Any]] = []
    if limit and standing.last_seq > after:
        found = connection.execute(
            _MESSAGES, {"conversation": conversation_id, "after": after, "limit": limit}
        )
        rows = [dict(row) for row in found.mappings()]
    return Page(status=standing.status, rating=standing.rating, rows=rows)


def conversation_of(
    connection: Connection, *, channel: str, account: str
) -> tuple[str, int] | None:
    """The id and the newest sequence number of an account's conversation; None when it has none."""
    row = connection.execute(
        select(_conversation.c.id, _conversation.c.last_seq).where(
            _conversation.c.channel == channel, _conversation.c.account == account
        )
    ).one_or_none()
    return None if row is None else (row.id, row.last_seq)
