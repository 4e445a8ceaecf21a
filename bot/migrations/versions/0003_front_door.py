"""The front door: outbox, files, agents' tokens, who wrote a message, where a handoff stands."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Add the columns and tables; the outbox, never written before, is made anew."""
    for column in (
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("last_inbound_at", MOMENT, nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("waiting_since", MOMENT, nullable=True),
        sa.Column("taken_at", MOMENT, nullable=True),
        sa.Column("handed_back_at", MOMENT, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
    ):
        op.add_column("conversation", column)
    op.create_index(op.f("ix_conversation_customer_id"), "conversation", ["customer_id"])
    with_people = sa.text("status IN ('waiting', 'agent')")
    op.create_index(
        "conversation_open",
        "conversation",
        ["status", "waiting_since"],
        sqlite_where=with_people,
        postgresql_where=with_people,
    )
    # Who waited before there was a queue has waited since the conversation's last change.
    op.execute("UPDATE conversation SET waiting_since = updated_at WHERE status = 'waiting'")

    op.add_column("message", sa.Column("author", sa.Text(), nullable=False, server_default="bot"))
    op.add_column("message", sa.Column("agent_id", sa.Text(), nullable=True))
    op.add_column("message", sa.Column("attachments", JSON, nullable=True))
    op.execute("UPDATE message SET author = 'customer' WHERE direction = 'in'")

    op.add_column("feedback", sa.Column("kind", sa.Text(), nullable=False, server_default="thumb"))
    for column in (
        sa.Column("token_hash", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("disabled_at", MOMENT, nullable=True),
    ):
        op.add_column("agent", column)
    with op.batch_alter_table("agent") as batch:
        batch.create_unique_constraint(op.f("uq_agent_token_hash"), ["token_hash"])

    _make_outbox()
    op.create_table(
        "file",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_file_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
    )
    op.create_index("file_conversation", "file", ["conversation_id"])
    op.create_table(
        "nonce",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_nonce")),
    )
    op.create_index(op.f("ix_nonce_expires_at"), "nonce", ["expires_at"])


def _make_outbox() -> None:
    op.drop_table("outbox")
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("claimed_until", MOMENT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("state IN ('queued', 'sent', 'failed')", name=op.f("ck_outbox_state")),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_outbox_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["id"], ["message.id"], name=op.f("fk_outbox_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    queued = sa.text("state = 'queued'")
    for name, columns in (
        ("outbox_queued", ["conversation_id", "seq"]),
        ("outbox_due", ["next_at"]),
    ):
        op.create_index(name, "outbox", columns, sqlite_where=queued, postgresql_where=queued)
    op.create_index("outbox_state", "outbox", ["state", "created_at"])
