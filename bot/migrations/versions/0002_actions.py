"""The QA store and the example shop's orders."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; those that an earlier import of answers made are left alone."""
    op.create_table(
        "qa_source",
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("pairs", sa.Integer(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_qa_source")),
        if_not_exists=True,
    )
    op.create_table(
        "qa_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("embedder", sa.String(length=200), nullable=False),
        sa.Column("answer_threshold", sa.Float(), nullable=False),
        sa.Column("offer_threshold", sa.Float(), nullable=False),
        sa.Column("calibration", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa_state")),
        if_not_exists=True,
    )
    op.create_table(
        "shop_order",
        sa.Column("order_number", sa.String(length=20), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("customer_name", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=30), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("promised_on", sa.Date(), nullable=True),
        sa.Column("delivered_on", sa.Date(), nullable=True),
        sa.Column("carrier", sa.String(length=80), nullable=False),
        sa.Column("tracking", sa.String(length=80), nullable=True),
        sa.Column("method", sa.String(length=30), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("country", sa.String(length=80), nullable=False),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.Column("seeded_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("order_number", name=op.f("pk_shop_order")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_shop_order_email"), "shop_order", ["email"], unique=False, if_not_exists=True
    )
    op.create_table(
        "order_operation",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("order_number", sa.String(length=20), nullable=False),
        sa.Column("operation", sa.String(length=30), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_number"],
            ["shop_order.order_number"],
            name=op.f("fk_order_operation_order_number"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_operation")),
        sa.UniqueConstraint("operation", "key", name=op.f("uq_order_operation_operation")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_order_operation_order_number",
        "order_operation",
        ["order_number"],
        unique=False,
        if_not_exists=True,
    )
    op.create_table(
        "qa_pair",
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("intent", sa.String(length=120), nullable=False),
        sa.Column("category", sa.String(length=120), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["qa_source.name"], name=op.f("fk_qa_pair_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa_pair")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_qa_pair_intent"), "qa_pair", ["intent"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_qa_pair_source"), "qa_pair", ["source"], unique=False, if_not_exists=True
    )
    op.create_table(
        "qa_variant",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("pair_id", sa.String(length=120), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("embedder", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(
            ["pair_id"], ["qa_pair.id"], name=op.f("fk_qa_variant_pair_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa_variant")),
        sa.UniqueConstraint("pair_id", "position", name=op.f("uq_qa_variant_pair_id")),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("qa_variant")
    op.drop_index(op.f("ix_qa_pair_source"), table_name="qa_pair")
    op.drop_index(op.f("ix_qa_pair_intent"), table_name="qa_pair")
    op.drop_table("qa_pair")
    op.drop_index("ix_order_operation_order_number", table_name="order_operation")
    op.drop_table("order_operation")
    op.drop_index(op.f("ix_shop_order_email"), table_name="shop_order")
    op.drop_table("shop_order")
    op.drop_table("qa_state")
    op.drop_table("qa_source")
