"""What a group of unknown messages is worth to look at, by which groups stand in order."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; the next grouping fills it."""
    with op.batch_alter_table("unknown_cluster") as table:
        table.add_column(sa.Column("worth", sa.Float(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop it: the groups stand by size again."""
    with op.batch_alter_table("unknown_cluster") as table:
        table.drop_column("worth")
