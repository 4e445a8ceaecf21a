"""What was trained: the runs."""

from sqlalchemy import Boolean, CheckConstraint, Column, Float, Integer, Table, Text, false

from bot.log.tables.base import Json, UtcDateTime, metadata

training_run = Table(
    "training_run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    # 1 while it is queued or running, else NULL: so there is one at a time over all gateways.
    Column("slot", Integer, unique=True),
    Column("actor", Text, nullable=False),
    Column("options", Json, nullable=False),
    # The machine it runs on, and the gateway there that looks after it.
    Column("host", Text, nullable=False),
    Column("owner", Text, nullable=False),
    # Number and start (seconds since 1970) of its process: numbers are used again.
    Column("process_id", Integer),
    Column("process_since", Float),
    # Who wants it to stop; NULL while nobody does.
    Column("cancel_by", Text),
    Column("version", Text),
    Column("promoted", Boolean, nullable=False, server_default=false()),
    Column("metrics", Json),
    # The last lines of its log; they hold no text of a customer's.
    Column("lines", Json),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    # When its gateway last looked after it.
    Column("seen_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    CheckConstraint(
        "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"
    ),
)
