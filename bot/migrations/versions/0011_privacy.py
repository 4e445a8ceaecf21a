"""Privacy: requests to erase, the register of exports, what models were trained on, retention."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _add_requests()
    op.create_table(
        "export_record",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("since", _MOMENT, nullable=True),
        sa.Column("until", _MOMENT, nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("conversations", _JSON, nullable=True),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export_record")),
    )
    op.create_index(op.f("ix_export_record_made_at"), "export_record", ["made_at"])
    op.create_table(
        "model_exposure",
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_model_exposure_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("model_version", "conversation_id", name=op.f("pk_model_exposure")),
    )
    op.create_index("model_exposure_conversation", "model_exposure", ["conversation_id"])
    op.create_table(
        "retention_rule",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_retention_rule")),
    )
    op.create_table(
        "retention_run",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("claimed_until", _MOMENT, nullable=True),
        sa.Column("started_at", _MOMENT, nullable=True),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.Column("removed", _JSON, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_run")),
    )


def _add_requests() -> None:
    op.create_table(
        "erasure_request",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("target_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("work", _JSON, nullable=True),
        sa.Column("steps", _JSON, nullable=False),
        sa.Column("report", _JSON, nullable=True),
        sa.Column("claimed_until", _MOMENT, nullable=True),
        sa.Column("next_at", _MOMENT, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.CheckConstraint(
            "kind IN ('customer', 'conversation', 'retention')",
            name=op.f("ck_erasure_request_kind"),
        ),
        sa.CheckConstraint("state IN ('running', 'done')", name=op.f("ck_erasure_request_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure_request")),
    )
    op.create_index("erasure_request_state", "erasure_request", ["state", "created_at"])
    op.create_index("erasure_request_target", "erasure_request", ["target_hash"])


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "retention_run",
        "retention_rule",
        "model_exposure",
        "export_record",
        "erasure_request",
    ):
        op.drop_table(table)
