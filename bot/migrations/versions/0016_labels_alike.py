"""What people have called messages like those of a group of unknown ones."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add the column; the next grouping fills it."""
    with op.batch_alter_table("unknown_cluster") as table:
        table.add_column(sa.Column("labels", _JSON))


def downgrade() -> None:
    """Drop it: a group tells nothing of labels."""
    with op.batch_alter_table("unknown_cluster") as table:
        table.drop_column("labels")
