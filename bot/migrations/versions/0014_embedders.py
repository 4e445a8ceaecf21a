"""Vectors of several embedders side by side: a table of them, and a calibration for each."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the vectors out of the wordings, and the calibration beside them."""
    # An import may have made the tables before the first upgrade.
    op.create_table(
        "qa_vector",
        sa.Column("variant_id", sa.Integer(), nullable=False),
        sa.Column("embedder", sa.String(length=200), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["variant_id"],
            ["qa_variant.id"],
            name=op.f("fk_qa_vector_variant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("variant_id", "embedder", name=op.f("pk_qa_vector")),
        if_not_exists=True,
    )
    op.create_table(
        "qa_scale",
        sa.Column("embedder", sa.String(length=200), nullable=False),
        sa.Column("calibration", sa.JSON(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("embedder", name=op.f("pk_qa_scale")),
        if_not_exists=True,
    )
    columns = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("qa_variant")}
    if "embedding" not in columns:
        return
    op.execute(
        "INSERT INTO qa_vector (variant_id, embedder, embedding) "
        "SELECT id, embedder, embedding FROM qa_variant "
        "WHERE embedding IS NOT NULL AND embedder IS NOT NULL"
    )
    op.execute(
        "INSERT INTO qa_scale (embedder, calibration, used_at) "
        "SELECT embedder, calibration, updated_at FROM qa_state"
    )
    op.drop_column("qa_variant", "embedding")
    op.drop_column("qa_variant", "embedder")


def downgrade() -> None:
    """Put the vectors of the embedder in use back beside the wordings, and drop the others."""
    op.add_column("qa_variant", sa.Column("embedding", sa.LargeBinary(), nullable=True))
    op.add_column("qa_variant", sa.Column("embedder", sa.String(length=200), nullable=True))
    op.execute(
        "UPDATE qa_variant SET "
        "embedding = (SELECT v.embedding FROM qa_vector v JOIN qa_state s "
        "ON s.embedder = v.embedder WHERE v.variant_id = qa_variant.id), "
        "embedder = (SELECT v.embedder FROM qa_vector v JOIN qa_state s "
        "ON s.embedder = v.embedder WHERE v.variant_id = qa_variant.id)"
    )
    op.drop_table("qa_scale")
    op.drop_table("qa_vector")
