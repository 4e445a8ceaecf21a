"""What was said and understood: conversations, messages, turns, corrections, ratings, files."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    false,
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
    # Whom a conversation is meant for that no agent has; NULL: anyone.
    Column("assignee_id", Text),
    Column("waiting_since", UtcDateTime),
    Column("taken_at", UtcDateTime),
    Column("handed_back_at", UtcDateTime),
    Column("outcome", Text),
    # The position that a waiting customer was told last, and when; NULL until then.
    Column("queue_told", Integer),
    Column("queue_told_at", UtcDateTime),
    # The hand-back that the dialogue is still to learn of.
    Column("hand_back_id", Text),
    # From here on: what lists show and filter by, kept by bot/log/inbox.py.
    # Since when the customer's words have no answer of the bot or an agent.
    Column("unanswered_since", UtcDateTime),
    Column("last_intent", Text),
    Column("last_emotion", Text),
    # The emotions of the last turns, newest first, a comma after each.
    Column("emotion_trend", Text),
    Column("rating", Integer),
    Column("reviewed", Boolean, nullable=False, server_default=false()),
    Column("had_fallback", Boolean, nullable=False, server_default=false()),
    Column("lowest_confidence", Float),
    # Bits that every turn of an intent (emotion, model version) sets: see bot/log/turn_kinds.py.
    Column("intent_bits", BigInteger, nullable=False, server_default="0"),
    Column("feature_bits", BigInteger, nullable=False, server_default="0"),
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
    # When a channel was last heard of.
    Index("message_channel", "channel", "direction", "created_at"),
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
    # Of turn_kind, so that one number answers what lists ask of a turn.
    Column("kind_id", BigInteger),
    Index("turn_conversation", "conversation_id", "kind_id"),
    # How each version did, without a look at the turns themselves.
    Index("turn_model", "model_version", "created_at", "intent", "confidence"),
)
# How often an answer was given.
Index(
    "turn_answer",
    turn.c.qa_pair_id,
    turn.c.created_at,
    sqlite_where=turn.c.qa_pair_id.is_not(None),
    postgresql_where=turn.c.qa_pair_id.is_not(None),
)

# What a person said of a turn: rows are only ever added, which triggers see to. What is NULL is not
# spoken of.
annotation = Table(
    "annotation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("turn_id", Text, ForeignKey("turn.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("intent", Text),
    Column("emotion", Text),
    Column("entities", Json),
    Column("agent_id", Text),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    # label: what is right; reject: of no use; revoke: the author takes back an earlier row.
    Column("kind", Text, nullable=False, server_default="label"),
    # Of the bot's answer: right, wrong, pair (another one was right), none (there is no answer).
    Column("answer", Text),
    Column("answer_pair_id", Text),
    # spam, language, personal_data, other.
    Column("reject_reason", Text),
    Column("revokes", Text),
    # A third person's word, which ends a dispute of two.
    Column("settles", Boolean, nullable=False, server_default=false()),
    # Why the queue showed the turn; NULL when it was opened from elsewhere.
    Column("reason", Text),
    Column("spent_ms", Integer),
    CheckConstraint("kind IN ('label', 'reject', 'revoke')", name="kind"),
    CheckConstraint("answer IN ('right', 'wrong', 'pair', 'none')", name="answer"),
    CheckConstraint("(kind = 'revoke') = (revokes IS NOT NULL)", name="revokes"),
    Index("annotation_author", "agent_id", "created_at"),
    # What was taken back is not taken back twice.
    Index("annotation_revokes", "revokes", unique=True),
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
    Column("created_at", UtcDateTime, nullable=False, index=True),
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
