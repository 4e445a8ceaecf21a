"""What customers feel, counted: handoffs one by one, figures by day, the emotion watch's alerts.

None of it holds a customer's words. The figures name no conversation, so they stay when one goes.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
)

from bot.log.tables.base import Json, UtcDateTime, conversation_key, metadata
from bot.log.tables.conversations import feedback

# The conversation's row knows its last handoff only.
handoff = Table(
    "handoff",
    metadata,
    Column("id", Text, primary_key=True),
    conversation_key(),
    # As in the conversation's row; "taken" where an agent came unasked.
    Column("reason", Text, nullable=False),
    # NULL where the customer pressed the button, or the agent came unasked.
    Column("turn_id", Text),
    Column("at", UtcDateTime, nullable=False, index=True),
    # The first words of a person after it.
    Column("answered_at", UtcDateTime, index=True),
    Index("handoff_conversation", "conversation_id"),
)
Index("feedback_created", feedback.c.created_at)

# All that is counted by day (in the zone of voice_state), channel and language. A row with "*" is
# the sum over all channels or languages, so that any question reads one row a day.
voice_day = Table(
    "voice_day",
    metadata,
    Column("day", Date, primary_key=True),
    Column("channel", Text, primary_key=True),
    # "en" of "en-GB"; "" where nobody knows.
    Column("language", Text, primary_key=True),
    Column("turns", Integer, nullable=False),
    Column("felt", Integer, nullable=False),
    Column("upset", Integer, nullable=False),
    Column("fallbacks", Integer, nullable=False),
    Column("answers", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("contacts", Integer, nullable=False),
    Column("ended", Integer, nullable=False),
    Column("resolved", Integer, nullable=False),
    Column("handoffs", Integer, nullable=False),
    Column("thumbs_up", Integer, nullable=False),
    Column("thumbs_down", Integer, nullable=False),
    # Counts by label: emotion, reason, rating, and the buckets of first_answer and person_answer.
    Column("spread", Json, nullable=False),
)


def _labels() -> list[Column[str]]:
    return [
        Column(name, Text, primary_key=True)
        for name in ("channel", "language", "intent", "emotion", "model_version")
    ]


def _counts() -> list[Column[int]]:
    return [
        Column(name, Integer, nullable=False)
        for name in ("turns", "fallbacks", "answers", "handoffs")
    ]


# Turns by what was understood; a label that is missing is "".
voice_topic = Table(
    "voice_topic", metadata, Column("day", Date, primary_key=True), *_labels(), *_counts()
)
# The same by month: a year is then a fifteenth of the rows.
voice_topic_month = Table(
    "voice_topic_month", metadata, Column("month", Date, primary_key=True), *_labels(), *_counts()
)

# A moment at which something changed afterwards: its day is counted again.
voice_change = Table(
    "voice_change",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

# One row: how far the counting is, and which gateway is at it.
voice_state = Table(
    "voice_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # The time zone whose days are counted.
    Column("zone", Text),
    # Days before this one change no more by themselves.
    Column("counted_to", Date),
    # Of days before this one the turns are gone (retention), so they are never counted again.
    Column("frozen_before", Date),
    Column("claimed_by", Text),
    Column("claimed_until", UtcDateTime),
    # The last hour (since 1970) that the emotion watch has looked at.
    Column("looked_hour", BigInteger),
)

# What the emotion watch looks at: conversations with the topic in the hour, and upset ones.
watch_hour = Table(
    "watch_hour",
    metadata,
    Column("day", Date, primary_key=True),
    # Since 1970, in UTC.
    Column("hour", BigInteger, primary_key=True),
    # intent, category or channel
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("cases", Integer, nullable=False),
    Column("upset", Integer, nullable=False),
    Index("watch_hour_hour", "hour"),
)

alert = Table(
    "alert",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    # The last look that still found it, and the end.
    Column("seen_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    # Of the window in which it was found: where it began, what was in it, what was to be expected.
    Column("since", UtcDateTime, nullable=False),
    Column("cases", Integer, nullable=False),
    Column("upset", Integer, nullable=False),
    Column("expected", Float, nullable=False),
    Column("p_value", Float, nullable=False),
    Column("acknowledged_by", Text),
    Column("acknowledged_at", UtcDateTime),
    Index("alert_opened", "opened_at"),
)
# One at a time for each series.
Index(
    "alert_open",
    alert.c.kind,
    alert.c.name,
    unique=True,
    sqlite_where=alert.c.closed_at.is_(None),
    postgresql_where=alert.c.closed_at.is_(None),
)

alert_mute = Table(
    "alert_mute",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("muted_by", Text, nullable=False),
    Column("muted_at", UtcDateTime, nullable=False),
)

# What the webhook is still to be told: that an alert was opened, that it was closed.
alert_notice = Table(
    "alert_notice",
    metadata,
    Column("id", Text, primary_key=True),
    Column(
        "alert_id", Text, ForeignKey("alert.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("event", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("error", Text),
    CheckConstraint("event IN ('opened', 'closed')", name="event"),
    CheckConstraint("state IN ('queued', 'sent', 'failed')", name="state"),
)
