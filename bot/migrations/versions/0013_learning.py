"""Learning: versions of the data, what is held back, releases, unknowns, drift; loops as runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Make the tables and columns."""
    with op.batch_alter_table("training_run") as batch:
        batch.add_column(sa.Column("kind", sa.Text(), server_default="train", nullable=False))
        batch.add_column(sa.Column("step", sa.Text(), nullable=True))
        batch.add_column(sa.Column("dataset", sa.Text(), nullable=True))
        batch.add_column(sa.Column("verdict", _JSON, nullable=True))
        batch.create_check_constraint(
            op.f("ck_training_run_kind"), sa.text("kind IN ('train', 'learn')")
        )
    _add_data()
    _add_releases()
    _add_unknowns()
    op.create_table(
        "drift_check",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("figures", _JSON, nullable=False),
        sa.Column("alarm", sa.Boolean(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_check")),
    )
    op.create_index(op.f("ix_drift_check_created_at"), "drift_check", ["created_at"])


def _add_data() -> None:
    op.create_table(
        "dataset_version",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("counts", _JSON, nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("erased", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_dataset_version")),
    )
    op.create_table(
        "held_back",
        sa.Column("turn_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", _JSON, nullable=False),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", _MOMENT, nullable=True),
        sa.CheckConstraint(
            "reason IN ('label_error', 'class_shift', 'influence', 'trigger', 'protected')",
            name=op.f("ck_held_back_reason"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'approved', 'rejected')", name=op.f("ck_held_back_state")
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_held_back_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_held_back")),
    )
    op.create_index("held_back_state", "held_back", ["state", "created_at"])


def _add_releases() -> None:
    op.create_table(
        "promotion",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("share", sa.Float(), server_default="1", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("report", _JSON, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.CheckConstraint(
            "kind IN ('full', 'canary', 'ab', 'rollback')", name=op.f("ck_promotion_kind")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'promoted', 'rolled_back', 'ended')",
            name=op.f("ck_promotion_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotion")),
        sa.UniqueConstraint("slot", name=op.f("uq_promotion_slot")),
    )
    op.create_index("promotion_created", "promotion", ["created_at"])


def _add_unknowns() -> None:
    op.create_table(
        "unknown_cluster",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("cohesion", sa.Float(), nullable=False),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", _MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'named', 'dismissed')", name=op.f("ck_unknown_cluster_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unknown_cluster")),
    )
    op.create_index("unknown_cluster_state", "unknown_cluster", ["state", "size"])
    op.create_table(
        "unknown_member",
        sa.Column("turn_id", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("likeness", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"],
            ["unknown_cluster.id"],
            name=op.f("fk_unknown_member_cluster_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_unknown_member_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_unknown_member")),
    )
    op.create_index(op.f("ix_unknown_member_cluster_id"), "unknown_member", ["cluster_id"])


def downgrade() -> None:
    """Drop what the upgrade made."""
    for table in (
        "drift_check",
        "unknown_member",
        "unknown_cluster",
        "promotion",
        "held_back",
        "dataset_version",
    ):
        op.drop_table(table)
    with op.batch_alter_table("training_run") as batch:
        batch.drop_constraint(op.f("ck_training_run_kind"), type_="check")
        for column in ("verdict", "dataset", "step", "kind"):
            batch.drop_column(column)
