"""What the console's inbox needs beside the conversations: kinds of turns, words, reading marks."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from bot.log.tables.base import Json, UtcDateTime, conversation_key, metadata
from bot.log.tables.conversations import conversation

# All that a filter asks of one turn: a turn names its kind, see bot/log/turn_kinds.py.
turn_kind = Table(
    "turn_kind",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("intent", Text, nullable=False),
    Column("emotion", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("fallback", Boolean, nullable=False),
    Column("confidence_step", Integer, nullable=False),
)

# The lists walk this index, newest first, and find everything in it that a filter asks of a
# conversation: no row is fetched but those that are shown.
_c = conversation.c
Index(
    "conversation_recent",
    _c.updated_at,
    _c.id,
    _c.status,
    _c.channel,
    _c.locale,
    _c.agent_id,
    _c.assignee_id,
    _c.handoff_reason,
    _c.rating,
    _c.unanswered_since,
    _c.reviewed,
    _c.had_fallback,
    _c.lowest_confidence,
    _c.intent_bits,
    _c.feature_bits,
)

# The words of a turn (the customer's and the bot's, redacted) or of an agent's message. SQLite has
# them in the FTS5 table `search_words` as well, PostgreSQL in a GIN index of that name: both are
# made by the migration and follow this table by themselves.
search_doc = Table(
    "search_doc",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
    ),
    conversation_key(),
    # The customer's message, or the agent's.
    Column("message_id", Text, nullable=False),
    Column("words", Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
    Index("search_doc_conversation", "conversation_id"),
)

# How far an agent has read a conversation.
inbox_read = Table(
    "inbox_read",
    metadata,
    Column("agent_id", Text, ForeignKey("agent.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "conversation_id",
        Text,
        ForeignKey("conversation.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("seq", BigInteger, nullable=False),
    Index("inbox_read_conversation", "conversation_id"),
)

# Filters under a name: of one agent, or of everyone.
inbox_view = Table(
    "inbox_view",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # NULL: shared with all.
    Column("agent_id", Text, ForeignKey("agent.id", ondelete="CASCADE")),
    Column("created_by", Text, nullable=False),
    Column("filters", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("agent_id", "name"),
)
