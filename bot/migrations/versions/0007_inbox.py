"""Inbox: what lists, filters and the search of conversations need."""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from bot.log.inbox_rebuild import rebuild_all
from bot.redaction import Redactor
from bot.settings import Settings

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")

# The search's words follow their table by themselves, also when a cascade empties it.
SQLITE_SEARCH = (
    """
    CREATE VIRTUAL TABLE search_words USING fts5(
        words, content='search_doc', content_rowid='id', detail='none', tokenize='ascii'
    )
    """,
    """
    CREATE TRIGGER search_doc_added AFTER INSERT ON search_doc
    BEGIN INSERT INTO search_words(rowid, words) VALUES (NEW.id, NEW.words); END
    """,
    """
    CREATE TRIGGER search_doc_gone AFTER DELETE ON search_doc
    BEGIN
        INSERT INTO search_words(search_words, rowid, words)
        VALUES ('delete', OLD.id, OLD.words);
    END
    """,
    """
    CREATE TRIGGER search_doc_changed AFTER UPDATE ON search_doc
    BEGIN
        INSERT INTO search_words(search_words, rowid, words)
        VALUES ('delete', OLD.id, OLD.words);
        INSERT INTO search_words(rowid, words) VALUES (NEW.id, NEW.words);
    END
    """,
)
# What was added since the last clean-up is looked through one by one at each search: little of it.
POSTGRESQL_SEARCH = (
    "CREATE INDEX search_words ON search_doc USING gin (words) WITH (gin_pending_list_limit = 256)",
)
RECENT = (
    "updated_at",
    "id",
    "status",
    "channel",
    "locale",
    "agent_id",
    "assignee_id",
    "handoff_reason",
    "rating",
    "unanswered_since",
    "reviewed",
    "had_fallback",
    "lowest_confidence",
    "intent_bits",
    "feature_bits",
)


def upgrade() -> None:
    """Add columns and tables, and fill them for the conversations that are there."""
    _add_columns()
    _add_tables()
    _add_search()
    connection = op.get_bind()
    rebuild_all(connection, _redact())
    op.execute(
        "UPDATE conversation SET rating = (SELECT score FROM feedback f"
        " WHERE f.conversation_id = conversation.id AND f.kind = 'rating' LIMIT 1),"
        " reviewed = EXISTS (SELECT 1 FROM annotation a JOIN turn t ON t.id = a.turn_id"
        " WHERE t.conversation_id = conversation.id)"
    )
    op.drop_index("turn_conversation", "turn")
    op.create_index("turn_conversation", "turn", ["conversation_id", "kind_id"])
    op.create_index("conversation_recent", "conversation", list(RECENT))


def _redact() -> Callable[[str], str]:
    """By the site's settings: agents' words go into the search without personal data."""
    settings = Settings()
    redactor = Redactor(settings.redaction_regions, settings.redaction_keep)
    return lambda text: redactor.redact(text).text


def _add_columns() -> None:
    for column in (
        # Whom a conversation is meant for: moves between agents keep it.
        sa.Column("assignee_id", sa.Text(), nullable=True),
        sa.Column("unanswered_since", MOMENT, nullable=True),
        sa.Column("last_intent", sa.Text(), nullable=True),
        sa.Column("last_emotion", sa.Text(), nullable=True),
        sa.Column("emotion_trend", sa.Text(), nullable=True),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("reviewed", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("had_fallback", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("lowest_confidence", sa.Float(), nullable=True),
        sa.Column("intent_bits", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("feature_bits", sa.BigInteger(), nullable=False, server_default="0"),
    ):
        op.add_column("conversation", column)
    op.add_column("turn", sa.Column("kind_id", sa.BigInteger(), nullable=True))


def _conversation_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["conversation_id"],
        ["conversation.id"],
        name=op.f(f"fk_{table}_conversation_id"),
        ondelete="CASCADE",
    )


def _agent_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["agent_id"], ["agent.id"], name=op.f(f"fk_{table}_agent_id"), ondelete="CASCADE"
    )


def _add_tables() -> None:
    op.create_table(
        "turn_kind",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("emotion", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("fallback", sa.Boolean(), nullable=False),
        sa.Column("confidence_step", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn_kind")),
    )
    op.create_table(
        "inbox_read",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        _agent_key("inbox_read"),
        _conversation_key("inbox_read"),
        sa.PrimaryKeyConstraint("agent_id", "conversation_id", name=op.f("pk_inbox_read")),
    )
    op.create_index("inbox_read_conversation", "inbox_read", ["conversation_id"])
    op.create_table(
        "inbox_view",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("filters", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        _agent_key("inbox_view"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox_view")),
        sa.UniqueConstraint("agent_id", "name", name=op.f("uq_inbox_view_agent_id_name")),
    )


def _add_search() -> None:
    op.create_table(
        "search_doc",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("words", sa.Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
        _conversation_key("search_doc"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_doc")),
    )
    op.create_index("search_doc_conversation", "search_doc", ["conversation_id"])
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in POSTGRESQL_SEARCH if postgresql else SQLITE_SEARCH:
        op.execute(statement)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("conversation_recent", table_name="conversation")
    op.drop_index("turn_conversation", table_name="turn")
    op.create_index("turn_conversation", "turn", ["conversation_id"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE search_words")
    for table in ("search_doc", "inbox_view", "inbox_read", "turn_kind"):
        op.drop_table(table)
    op.drop_column("turn", "kind_id")
    for name in (
        "feature_bits",
        "intent_bits",
        "lowest_confidence",
        "had_fallback",
        "reviewed",
        "rating",
        "emotion_trend",
        "last_emotion",
        "last_intent",
        "unanswered_since",
        "assignee_id",
    ):
        op.drop_column("conversation", name)
