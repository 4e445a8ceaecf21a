"""What reviewers work on: turns worth a look, leases on them, proposals of answers."""

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
)

from bot.log.tables.base import Json, UtcDateTime, metadata


def turn_key() -> Column[str]:
    """The key of what there is once a turn, and goes with it."""
    return Column("turn_id", Text, ForeignKey("turn.id", ondelete="CASCADE"), primary_key=True)


# A turn that would teach something. Few turns are here, so picking the next stays fast.
review_candidate = Table(
    "review_candidate",
    metadata,
    turn_key(),
    # first: nobody has labelled it; second: one has, another is wanted; disputed; done; duplicate.
    Column("state", Text, nullable=False),
    # What speaks most for it, how much (0 to 1), and all that speaks for it.
    Column("reason", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("reasons", Json, nullable=False),
    # How many people are to label it.
    Column("wanted", Integer, nullable=False),
    Column("first_agent_id", Text),
    # A hash of the text without case, digits and punctuation.
    Column("text_key", Text, nullable=False),
    Column("customer_key", Text, nullable=False),
    Column("intent", Text),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('first', 'second', 'disputed', 'done', 'duplicate')", name="state"),
    Index("review_candidate_next", "state", "reason", "score"),
    Index("review_candidate_text", "text_key"),
    Index("review_candidate_customer", "customer_key", "created_at"),
)

# Who works on a turn just now, and who has skipped it for a while.
review_lease = Table(
    "review_lease",
    metadata,
    turn_key(),
    Column("agent_id", Text, primary_key=True),
    # work or skip.
    Column("kind", Text, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Index("review_lease_agent", "agent_id"),
    CheckConstraint("kind IN ('work', 'skip')", name="kind"),
)

# What a candidate's text means, for telling new ones from what was seen before.
review_vector = Table(
    "review_vector",
    metadata,
    turn_key(),
    # float32, little-endian.
    Column("embedding", LargeBinary, nullable=False),
    Column("embedder", Text, nullable=False),
)

# How far the ranking has read each kind of event.
review_cursor = Table(
    "review_cursor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("read_to", UtcDateTime, nullable=False),
)

# An answer that a reviewer wrote, until someone else has looked at it.
qa_proposal = Table(
    "qa_proposal",
    metadata,
    Column("id", Text, primary_key=True),
    # NULL where it comes from no turn. It may hold the customer's words, so it goes with them.
    Column("turn_id", Text, ForeignKey("turn.id", ondelete="CASCADE")),
    # new: a pair; edit: of a pair that there is; wording: one more way to ask for a pair.
    Column("kind", Text, nullable=False),
    Column("pair_id", Text),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("intent", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Grows with each edit: who decides decides on what they have read.
    Column("revision", BigInteger, nullable=False),
    Column("author_id", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
    Column("reject_reason", Text),
    CheckConstraint("kind IN ('new', 'edit', 'wording')", name="kind"),
    CheckConstraint("state IN ('proposed', 'approved', 'rejected')", name="state"),
    Index("qa_proposal_state", "state", "created_at"),
    Index("qa_proposal_turn", "turn_id"),
)
