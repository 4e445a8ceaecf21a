"""Privacy: who was erased and what came of it, what left the house, what models saw, how long."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
)

from bot.log.tables.base import Json, UtcDateTime, metadata

# An erasure on its way, or its report. Once it is done nothing in the row leads to the customer.
erasure_request = Table(
    "erasure_request",
    metadata,
    Column("id", Text, primary_key=True),
    # customer: of a proven id, on all channels; conversation: this one; retention: its time is up.
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text),
    # A keyed hash: who has the customer's id can find the request again, nobody else.
    Column("target_hash", Text, nullable=False),
    Column("state", Text, nullable=False),
    # What the steps need to know; NULL once it is done.
    Column("work", Json),
    # By step: whether it is done, how often it was tried, why not, what it came to.
    Column("steps", Json, nullable=False),
    Column("report", Json),
    # Whoever works on it has it until then.
    Column("claimed_until", UtcDateTime),
    Column("next_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    CheckConstraint("kind IN ('customer', 'conversation', 'retention')", name="kind"),
    CheckConstraint("state IN ('running', 'done')", name="state"),
    Index("erasure_request_state", "state", "created_at"),
    Index("erasure_request_target", "target_hash"),
)

# What was written to a file or downloaded: an erasure cleans the files and names the downloads.
export_record = Table(
    "export_record",
    metadata,
    Column("id", Text, primary_key=True),
    # turns, corrections, training, customer and so on.
    Column("kind", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("actor", Text, nullable=False),
    # NULL for a download: it is where we cannot reach.
    Column("path", Text),
    # Of the turns in it, by the moment of their commit; NULL: without a bound.
    Column("since", UtcDateTime),
    Column("until", UtcDateTime),
    Column("count", BigInteger, nullable=False),
    # The ids of the conversations in it; NULL: all of the time range.
    Column("conversations", Json),
    Column("made_at", UtcDateTime, nullable=False, index=True),
)

# Whose turns a model version was trained on. The report of an erasure keeps the versions.
model_exposure = Table(
    "model_exposure",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column(
        "conversation_id",
        Text,
        ForeignKey("conversation.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("turns", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("model_exposure_conversation", "conversation_id"),
)

# How long what is kept; a kind without a row has the default of bot/log/retention.py.
retention_rule = Table(
    "retention_rule",
    metadata,
    Column("kind", Text, primary_key=True),
    # 0: for ever.
    Column("days", Integer, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

# One row: when the rules were last applied, and until when a gateway is at it.
retention_run = Table(
    "retention_run",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("claimed_until", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    # By kind: how much went.
    Column("removed", Json),
)
