"""Who works here, and who did what."""

from sqlalchemy import Column, Table, Text

from bot.log.tables.base import Json, UtcDateTime, metadata

agent = Table(
    "agent",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    # SHA-256 of the token, in hex: the token itself is shown once and kept nowhere.
    Column("token_hash", Text, unique=True),
    Column("state", Text),
    Column("disabled_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", Json),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)
