"""Review: corrections that nobody can change, what is worth a look, proposals of answers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")

# A turn's labels go with it and no other way: while a cascade runs, the turn is gone already.
SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER annotation_unchanged BEFORE UPDATE ON annotation
    BEGIN SELECT RAISE(ABORT, 'annotations are never changed; add one that revokes it'); END
    """,
    """
    CREATE TRIGGER annotation_kept BEFORE DELETE ON annotation
    WHEN EXISTS (SELECT 1 FROM turn WHERE id = OLD.turn_id)
    BEGIN SELECT RAISE(ABORT, 'annotations go only with their turn'); END
    """,
)
POSTGRESQL_TRIGGERS = (
    """
    CREATE FUNCTION annotation_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            RAISE EXCEPTION 'annotations go only with their turn';
        ELSIF TG_OP = 'UPDATE' THEN
            RAISE EXCEPTION 'annotations are never changed; add one that revokes it';
        ELSIF EXISTS (SELECT 1 FROM turn WHERE id = OLD.turn_id) THEN
            RAISE EXCEPTION 'annotations go only with their turn';
        END IF;
        RETURN OLD;
    END $$
    """,
    """
    CREATE TRIGGER annotation_unchanged BEFORE UPDATE OR DELETE ON annotation
    FOR EACH ROW EXECUTE FUNCTION annotation_immutable()
    """,
    """
    CREATE TRIGGER annotation_kept BEFORE TRUNCATE ON annotation
    FOR EACH STATEMENT EXECUTE FUNCTION annotation_immutable()
    """,
)


def upgrade() -> None:
    """Extend annotation and guard it; add the tables of the queue and of the proposals."""
    _extend_annotation()
    op.create_index(op.f("ix_feedback_created_at"), "feedback", ["created_at"])
    _make_queue()
    _make_proposals()


def _extend_annotation() -> None:
    with op.batch_alter_table("annotation") as batch:
        for column in (
            sa.Column("kind", sa.Text(), nullable=False, server_default="label"),
            sa.Column("answer", sa.Text(), nullable=True),
            sa.Column("answer_pair_id", sa.Text(), nullable=True),
            sa.Column("reject_reason", sa.Text(), nullable=True),
            sa.Column("revokes", sa.Text(), nullable=True),
            sa.Column("settles", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("reason", sa.Text(), nullable=True),
            sa.Column("spent_ms", sa.Integer(), nullable=True),
        ):
            batch.add_column(column)
        for name, condition in (
            ("kind", "kind IN ('label', 'reject', 'revoke')"),
            ("answer", "answer IN ('right', 'wrong', 'pair', 'none')"),
            ("revokes", "(kind = 'revoke') = (revokes IS NOT NULL)"),
        ):
            batch.create_check_constraint(op.f(f"ck_annotation_{name}"), condition)
    op.create_index(op.f("ix_annotation_created_at"), "annotation", ["created_at"])
    op.create_index("annotation_author", "annotation", ["agent_id", "created_at"])
    op.create_index("annotation_revokes", "annotation", ["revokes"], unique=True)
    postgresql = op.get_bind().dialect.name == "postgresql"
    for trigger in POSTGRESQL_TRIGGERS if postgresql else SQLITE_TRIGGERS:
        op.execute(trigger)


def _turn_key(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    return (
        sa.Column("turn_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f(f"fk_{table}_turn_id"), ondelete="CASCADE"
        ),
    )


def _make_queue() -> None:
    op.create_table(
        "review_candidate",
        *_turn_key("review_candidate"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("reasons", JSON, nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("first_agent_id", sa.Text(), nullable=True),
        sa.Column("text_key", sa.Text(), nullable=False),
        sa.Column("customer_key", sa.Text(), nullable=False),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "state IN ('first', 'second', 'disputed', 'done', 'duplicate')",
            name=op.f("ck_review_candidate_state"),
        ),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_review_candidate")),
    )
    op.create_index("review_candidate_next", "review_candidate", ["state", "reason", "score"])
    op.create_index("review_candidate_text", "review_candidate", ["text_key"])
    op.create_index("review_candidate_customer", "review_candidate", ["customer_key", "created_at"])
    op.create_table(
        "review_lease",
        *_turn_key("review_lease"),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('work', 'skip')", name=op.f("ck_review_lease_kind")),
        sa.PrimaryKeyConstraint("turn_id", "agent_id", name=op.f("pk_review_lease")),
    )
    op.create_index("review_lease_agent", "review_lease", ["agent_id"])
    op.create_table(
        "review_vector",
        *_turn_key("review_vector"),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_review_vector")),
    )
    op.create_table(
        "review_cursor",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("read_to", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_review_cursor")),
    )


def _make_proposals() -> None:
    op.create_table(
        "qa_proposal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("turn_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("pair_id", sa.Text(), nullable=True),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("reject_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('new', 'edit', 'wording')", name=op.f("ck_qa_proposal_kind")),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'rejected')", name=op.f("ck_qa_proposal_state")
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_qa_proposal_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa_proposal")),
    )
    op.create_index("qa_proposal_state", "qa_proposal", ["state", "created_at"])
    op.create_index("qa_proposal_turn", "qa_proposal", ["turn_id"])
