"""What agents add to conversations: private notes, and the answers that they keep ready."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from bot.log.tables.base import UtcDateTime, conversation_key, metadata

# Written by agents for agents: no customer is ever given one.
note = Table(
    "note",
    metadata,
    Column("id", Text, primary_key=True),
    conversation_key(),
    Column("agent_id", Text, nullable=False),
    Column("text", Text, nullable=False),
    # The last message of the conversation when the note was written: its place in the transcript.
    Column("after_seq", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("note_conversation", "conversation_id", "after_seq"),
)

canned_answer = Table(
    "canned_answer",
    metadata,
    Column("id", Text, primary_key=True),
    # What an agent types after a slash, in lower case.
    Column("shortcut", Text, nullable=False),
    Column("title", Text, nullable=False),
    # At least one of the two has words in it; {customer} and {agent} are filled in.
    Column("text_en", Text, nullable=False),
    Column("text_zh", Text, nullable=False),
    Column("updated_by", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("retired_at", UtcDateTime),
)
# A retired answer's shortcut may be used again.
Index(
    "canned_answer_shortcut",
    canned_answer.c.shortcut,
    unique=True,
    sqlite_where=canned_answer.c.retired_at.is_(None),
    postgresql_where=canned_answer.c.retired_at.is_(None),
)
