"""People: passwords, sessions and what signing in needs; the audit log is looked through."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Add the columns, the table of sessions and the audit log's indexes."""
    for column in (
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("password_changed_at", MOMENT, nullable=True),
        sa.Column("must_change_password", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("theme", sa.Text(), nullable=True),
        sa.Column("failed_sign_ins", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("locked_until", MOMENT, nullable=True),
        sa.Column("known_networks", JSON, nullable=True),
    ):
        op.add_column("agent", column)
    op.create_table(
        "session",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=True),
        sa.Column("previous_until", MOMENT, nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("rotated_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agent.id"], name=op.f("fk_session_agent_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_session_key_hash")),
        sa.UniqueConstraint("previous_hash", name=op.f("uq_session_previous_hash")),
    )
    op.create_index(op.f("ix_session_agent_id"), "session", ["agent_id"])
    op.create_index(op.f("ix_session_expires_at"), "session", ["expires_at"])
    for name in ("actor", "action", "target"):
        op.create_index(f"audit_{name}", "audit", [name, "created_at"])
