"""Who works here, and who did what."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, false

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
    # Argon2id; NULL for who has no access to the console.
    Column("password_hash", Text),
    Column("password_changed_at", UtcDateTime),
    Column("must_change_password", Boolean, nullable=False, server_default=false()),
    # How they see the console; NULL: as the browser asks.
    Column("locale", Text),
    Column("theme", Text),
    # Wrong passwords in a row, and until when none is looked at (see bot/log/sessions.py).
    Column("failed_sign_ins", Integer, nullable=False, server_default="0"),
    Column("locked_until", UtcDateTime),
    # Keyed hashes of the networks they have signed in from, the latest first.
    Column("known_networks", Json),
)

# Who is signed in, with which browser.
session = Table(
    "session",
    metadata,
    Column("id", Text, primary_key=True),
    # SHA-256 of the cookie's value, in hex.
    Column("key_hash", Text, nullable=False, unique=True),
    # The value before the last rotation, and until when it passes; NULL: the new one is not in use.
    Column("previous_hash", Text, unique=True),
    Column("previous_until", UtcDateTime),
    Column(
        "agent_id", Text, ForeignKey("agent.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("csrf", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("rotated_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    # As much of the address as a row may keep, and the browser's name: to tell one's own apart.
    Column("network", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
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
Index("audit_actor", audit.c.actor, audit.c.created_at)
Index("audit_action", audit.c.action, audit.c.created_at)
Index("audit_target", audit.c.target, audit.c.created_at)
