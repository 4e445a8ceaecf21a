"""Answers: history of the QA store, training runs, and what the pages count by."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Make the tables, columns and indexes; those that an import of answers made are left alone."""
    inspector = sa.inspect(op.get_bind())
    _add_columns(
        inspector,
        "qa_pair",
        sa.Column("edited", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("revision", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    _add_columns(inspector, "qa_variant", sa.Column("conversation_id", sa.Text(), nullable=True))
    op.create_index(
        op.f("ix_qa_variant_conversation_id"),
        "qa_variant",
        ["conversation_id"],
        if_not_exists=True,
    )
    op.create_table(
        "qa_revision",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("pair_id", sa.String(length=120), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("conversation_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["pair_id"], ["qa_pair.id"], name=op.f("fk_qa_revision_pair_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa_revision")),
        sa.UniqueConstraint("pair_id", "number", name=op.f("uq_qa_revision_pair_id")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_qa_revision_conversation_id"),
        "qa_revision",
        ["conversation_id"],
        if_not_exists=True,
    )
    op.create_table(
        "training_run",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("options", _JSON, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=True),
        sa.Column("process_since", sa.Float(), nullable=True),
        sa.Column("cancel_by", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("promoted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("metrics", _JSON, nullable=True),
        sa.Column("lines", _JSON, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_training_run_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_run")),
        sa.UniqueConstraint("slot", name=op.f("uq_training_run_slot")),
    )
    op.create_index("turn_model", "turn", ["model_version", "created_at", "intent", "confidence"])
    op.create_index(
        "turn_answer",
        "turn",
        ["qa_pair_id", "created_at"],
        sqlite_where=sa.text("qa_pair_id IS NOT NULL"),
        postgresql_where=sa.text("qa_pair_id IS NOT NULL"),
    )
    op.create_index("message_channel", "message", ["channel", "direction", "created_at"])


def _add_columns(inspector: sa.Inspector, table: str, *columns: sa.Column[Any]) -> None:
    known = {column["name"] for column in inspector.get_columns(table)}
    for column in columns:
        if column.name not in known:
            op.add_column(table, column)


def downgrade() -> None:
    """Drop what the upgrade made."""
    op.drop_index("message_channel", table_name="message")
    op.drop_index("turn_answer", table_name="turn")
    op.drop_index("turn_model", table_name="turn")
    op.drop_table("training_run")
    op.drop_index(op.f("ix_qa_revision_conversation_id"), table_name="qa_revision")
    op.drop_table("qa_revision")
    op.drop_index(op.f("ix_qa_variant_conversation_id"), table_name="qa_variant")
    op.drop_column("qa_variant", "conversation_id")
    op.drop_column("qa_pair", "revision")
    op.drop_column("qa_pair", "edited")
