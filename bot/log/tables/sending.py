"""What keeps sending and receiving single: outbox, used signatures, cursors."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from bot.log.tables.base import UtcDateTime, conversation_key, metadata

# What a messaging platform still has to be given: a row for each outgoing message, under its id.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Text, ForeignKey("message.id", ondelete="CASCADE"), primary_key=True),
    conversation_key(),
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("claimed_until", UtcDateTime),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('queued', 'sent', 'failed')", name="state"),
)
Index(
    "outbox_queued",
    outbox.c.conversation_id,
    outbox.c.seq,
    sqlite_where=outbox.c.state == "queued",
    postgresql_where=outbox.c.state == "queued",
)
Index(
    "outbox_due",
    outbox.c.next_at,
    sqlite_where=outbox.c.state == "queued",
    postgresql_where=outbox.c.state == "queued",
)
Index("outbox_state", outbox.c.state, outbox.c.created_at)

# Signatures of signed requests that were used: a second use is a replay.
nonce = Table(
    "nonce",
    metadata,
    Column("key", Text, primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

# Of platforms that keep a list of messages and only say that there is something new in it.
channel_cursor = Table(
    "channel_cursor",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("value", Text, nullable=False),
    # Of the notice that is still open: both NULL when all was read.
    Column("token", Text),
    Column("noted_at", UtcDateTime),
)
