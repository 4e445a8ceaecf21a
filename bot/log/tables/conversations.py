"""What was said and understood: conversations, messages, turns, corrections, ratings, files."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from bot.log.tables.base import Json, UtcDateTime, conversation_key, metadata

conversation = Table(
    "conversation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    # The customer's address in the channel; for the web API the conversation's own id.
    Column("account", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("handoff_reason", Text),
    Column("last_seq", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # The company's own id of the customer, when the identity was proven; NULL for everyone else.
    Column("customer_id", Text, index=True),
    Column("locale", Text),
    # Platforms close their window so long after the customer's last message.
    Column("last_inbound_at", UtcDateTime),
    Column("agent_id", Text),
    Column("waiting_since", UtcDateTime),
    Column("taken_at", UtcDateTime),
    Column("handed_back_at", UtcDateTime),
    Column("outcome", Text),
    # The position that a waiting customer was told last, and when; NULL until then.
    Column("queue_told", Integer),
    Column("queue_told_at", UtcDateTime),
    # The hand-back that the dialogue is still to learn of.
    Column("hand_back_id", Text),
    UniqueConstraint("channel", "account"),
    CheckConstraint("status IN ('bot', 'waiting', 'agent', 'closed')", name="status"),
)
# The queue and the agents' lists: what is with the bot or closed is not in it.
Index(
    "conversation_open",
    conversation.c.status,
    conversation.c.waiting_since,
    sqlite_where=conversation.c.status.in_(["waiting", "agent"]),
    postgresql_where=conversation.c.status.in_(["waiting", "agent"]),
)

message = Table(
    "message",
    metadata,
    Column("id", Text, primary_key=True),
    conversation_key(),
    Column("seq", BigInteger, nullable=False),
    Column("direction", Text, nullable=False),
    # customer, bot, agent or system.
    Column("author", Text, nullable=False, server_default="bot"),
    Column("agent_id", Text),
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    # The sender's own id; NULL for what the bot says.
    Column("message_id", Text),
    # An inbound text is raw until its turn is done, then redacted.
    Column("text", Text),
    # HMAC of the raw text: tells a repeated message from a reused id after redaction.
    Column("text_hash", Text),
    Column("buttons", Json),
    # Image and custom payload of a reply.
    Column("extra", Json),
    Column("attachments", Json),
    Column("metadata", Json),
    Column("state", Text, nullable=False),
    Column("turn_id", Text),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("conversation_id", "seq"),
    UniqueConstraint("channel", "account", "message_id"),
    CheckConstraint("direction IN ('in', 'out')", name="direction"),
    CheckConstraint("state IN ('accepted', 'answered', 'failed', 'sent')", name="state"),
    Index("message_turn", "turn_id"),
)
# What a restarted gateway has to drive again: a partial index that stays tiny.
Index(
    "message_accepted",
    message.c.conversation_id,
    message.c.seq,
    sqlite_where=message.c.state == "accepted",
    postgresql_where=message.c.state == "accepted",
)

turn = Table(
    "turn",
    metadata,
    Column("id", Text, primary_key=True),
    conversation_key(),
    Column(
        "inbound_id",
        Text,
        ForeignKey("message.id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    Column("text", Text, nullable=False),
    Column("intent", Text),
    Column("confidence", Float),
    Column("ranking", Json),
    Column("emotion", Text),
    Column("emotion_confidence", Float),
    Column("entities", Json),
    Column("actions", Json),
    Column("qa_pair_id", Text),
    Column("qa_score", Float),
    Column("model_version", Text),
    Column("mode", Text),
    Column("timings", Json),
    Column("replies", Json),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Index("turn_conversation", "conversation_id"),
)

annotation = Table(
    "annotation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("turn_id", Text, ForeignKey("turn.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("intent", Text),
    Column("emotion", Text),
    Column("entities", Json),
    Column("agent_id", Text),
    Column("created_at", UtcDateTime, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Text, primary_key=True),
    conversation_key(),
    Column("turn_id", Text, ForeignKey("turn.id", ondelete="CASCADE"), index=True),
    # thumb: 1 or -1 for a turn; rating: 1 to 5 for the conversation.
    Column("kind", Text, nullable=False, server_default="thumb"),
    Column("score", Integer, nullable=False),
    Column("comment", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Index("feedback_conversation", "conversation_id"),
)

file = Table(
    "file",
    metadata,
    Column("id", Text, primary_key=True),
    conversation_key(),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    # bytes
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("file_conversation", "conversation_id"),
)
