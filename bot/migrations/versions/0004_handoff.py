"""The handoff: what the customer was told of the queue, and what the dialogue is still to learn."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column("queue_told", sa.Integer(), nullable=True),
        sa.Column("queue_told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hand_back_id", sa.Text(), nullable=True),
    ):
        op.add_column("conversation", column)
