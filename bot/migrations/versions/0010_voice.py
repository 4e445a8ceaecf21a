"""Voice of the customer: counts by day, alerts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_LABELS = ("channel", "language", "intent", "emotion", "model_version")
_COUNTS = ("turns", "fallbacks", "answers", "handoffs")
_DAY_COUNTS = (
    "turns",
    "felt",
    "upset",
    "fallbacks",
    "answers",
    "failed",
    "contacts",
    "ended",
    "resolved",
    "handoffs",
    "thumbs_up",
    "thumbs_down",
)
_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
# Of handoffs that were before each was kept, the last of a conversation is known; when a person
# answered it, only where it is known since when one was waited for.
_EARLIER = """
INSERT INTO handoff (id, conversation_id, reason, at, answered_at)
SELECT c.id || '-earlier', c.id, c.handoff_reason,
       COALESCE(c.waiting_since, c.taken_at, c.handed_back_at, c.updated_at),
       (SELECT MIN(m.created_at) FROM message m
        WHERE m.conversation_id = c.id AND m.author = 'agent'
        AND m.created_at >= COALESCE(c.waiting_since, c.taken_at))
FROM conversation c WHERE c.handoff_reason IS NOT NULL
"""


def upgrade() -> None:
    """Add the tables, and the handoffs that are known of."""
    _add_handoff()
    _add_counts()
    _add_alerts()
    op.execute(_EARLIER)


def _add_handoff() -> None:
    op.create_table(
        "handoff",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("turn_id", sa.Text(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("answered_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_handoff_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handoff")),
    )
    op.create_index(op.f("ix_handoff_at"), "handoff", ["at"])
    op.create_index(op.f("ix_handoff_answered_at"), "handoff", ["answered_at"])
    op.create_index("handoff_conversation", "handoff", ["conversation_id"])
    op.create_index("feedback_created", "feedback", ["created_at"])


def _add_counts() -> None:
    op.create_table(
        "voice_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _DAY_COUNTS),
        sa.Column("spread", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("day", "channel", "language", name=op.f("pk_voice_day")),
    )
    for table, start in (("voice_topic", "day"), ("voice_topic_month", "month")):
        op.create_table(
            table,
            sa.Column(start, sa.Date(), nullable=False),
            *(sa.Column(name, sa.Text(), nullable=False) for name in _LABELS),
            *(sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTS),
            sa.PrimaryKeyConstraint(start, *_LABELS, name=op.f(f"pk_{table}")),
        )
    op.create_table(
        "voice_change",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_voice_change")),
    )
    op.create_table(
        "voice_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("counted_to", sa.Date(), nullable=True),
        sa.Column("frozen_before", sa.Date(), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", _MOMENT, nullable=True),
        sa.Column("looked_hour", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_voice_state")),
    )
    op.execute("INSERT INTO voice_state (id) VALUES (1)")
    op.create_table(
        "watch_hour",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("upset", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "hour", "kind", "name", name=op.f("pk_watch_hour")),
    )
    op.create_index("watch_hour_hour", "watch_hour", ["hour"])


def _add_alerts() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("opened_at", _MOMENT, nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.Column("closed_at", _MOMENT, nullable=True),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("upset", sa.Integer(), nullable=False),
        sa.Column("expected", sa.Float(), nullable=False),
        sa.Column("p_value", sa.Float(), nullable=False),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledged_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index("alert_opened", "alert", ["opened_at"])
    op.create_index(
        "alert_open",
        "alert",
        ["kind", "name"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "alert_mute",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.Column("muted_by", sa.Text(), nullable=False),
        sa.Column("muted_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_alert_mute")),
    )
    op.create_table(
        "alert_notice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", _MOMENT, nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("event IN ('opened', 'closed')", name=op.f("ck_alert_notice_event")),
        sa.CheckConstraint(
            "state IN ('queued', 'sent', 'failed')", name=op.f("ck_alert_notice_state")
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_alert_notice_alert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_notice")),
    )
    op.create_index(op.f("ix_alert_notice_alert_id"), "alert_notice", ["alert_id"])
