"""What is learned: runs, versions of the data, what is held back, releases, unknowns, drift."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    false,
)

from bot.log.tables.base import Json, UtcDateTime, metadata

training_run = Table(
    "training_run",
    metadata,
    Column("id", Text, primary_key=True),
    # train: one training, looked after by a gateway; learn: the whole loop, a process of its own.
    Column("kind", Text, nullable=False, server_default="train"),
    Column("state", Text, nullable=False),
    # Of a loop: the step it is at (see bot/learning/loop.py).
    Column("step", Text),
    # 1 while it is queued or running, else NULL: so there is one at a time over all gateways.
    Column("slot", Integer, unique=True),
    Column("actor", Text, nullable=False),
    Column("options", Json, nullable=False),
    # The machine it runs on, and the gateway there that looks after it.
    Column("host", Text, nullable=False),
    Column("owner", Text, nullable=False),
    # Number and start (seconds since 1970) of its process: numbers are used again.
    Column("process_id", Integer),
    Column("process_since", Float),
    # Who wants it to stop; NULL while nobody does.
    Column("cancel_by", Text),
    # Of a loop: the version of the data that it learns from.
    Column("dataset", Text),
    Column("version", Text),
    Column("promoted", Boolean, nullable=False, server_default=false()),
    Column("metrics", Json),
    # Of a loop: what its proof came to, as a person reads it; the whole of it is in its folder.
    Column("verdict", Json),
    # The last lines of its log; they hold no text of a customer's.
    Column("lines", Json),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    # When its gateway (or the loop itself) last looked after it.
    Column("seen_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    CheckConstraint("kind IN ('train', 'learn')", name="kind"),
    CheckConstraint(
        "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"
    ),
)

# A version of the training data, in a folder of its own name (see bot/learning/datasets/).
dataset_version = Table(
    "dataset_version",
    metadata,
    Column("version", Text, primary_key=True),
    Column("parent", Text),
    Column("run_id", Text),
    # Of its manifest, in hex.
    Column("sha256", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    # By source and by intent, as in the manifest.
    Column("counts", Json, nullable=False),
    # The log was read up to here.
    Column("until", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # How many rows erasures have taken out of it since.
    Column("erased", Integer, nullable=False, server_default="0"),
)

# What the guard keeps out of the data until somebody has looked at it; it goes with its turn.
held_back = Table(
    "held_back",
    metadata,
    Column(
        "turn_id",
        Text,
        ForeignKey("turn.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    # label_error, class_shift, influence, trigger or protected.
    Column("reason", Text, nullable=False),
    # What a person needs to judge it: the likely intent, the phrase, the share and so on.
    Column("detail", Json, nullable=False),
    Column("intent", Text),
    Column("source", Text, nullable=False),
    # Who labelled it; NULL where nobody did.
    Column("author", Text),
    Column("run_id", Text),
    Column("state", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
    CheckConstraint(
        "reason IN ('label_error', 'class_shift', 'influence', 'trigger', 'protected')",
        name="reason",
    ),
    CheckConstraint("state IN ('open', 'approved', 'rejected')", name="state"),
    Index("held_back_state", "state", "created_at"),
)

# Each change of the version that answers, and each trial of one on a share of the conversations.
promotion = Table(
    "promotion",
    metadata,
    Column("id", Text, primary_key=True),
    # full: for everyone at once; canary: a share first; ab: two versions compared; rollback.
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    # 1 while a trial is open, else NULL: so there is one at a time.
    Column("slot", Integer, unique=True),
    Column("version", Text, nullable=False),
    # What it was up against, or what it took the place of.
    Column("previous", Text),
    # Of the conversations, 0 to 1.
    Column("share", Float, nullable=False, server_default="1"),
    Column("actor", Text, nullable=False),
    Column("run_id", Text),
    Column("reason", Text),
    # The figures of both sides when it ended, or so far.
    Column("report", Json),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    CheckConstraint("kind IN ('full', 'canary', 'ab', 'rollback')", name="kind"),
    CheckConstraint("state IN ('open', 'promoted', 'rolled_back', 'ended')", name="state"),
    Index("promotion_created", "created_at"),
)

# Messages that nothing was known for and that are alike: perhaps an intent nobody has named.
unknown_cluster = Table(
    "unknown_cluster",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("size", Integer, nullable=False),
    # Mean cosine to the cluster's middle, 0 to 1.
    Column("cohesion", Float, nullable=False),
    # Where it stands among the others; 0 for those from before this was kept.
    Column("worth", Float, nullable=False, server_default="0"),
    # What people have called messages like its own, with how many of them; NULL from before this
    # was kept.
    Column("labels", Json),
    # What a person called it.
    Column("intent", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
    CheckConstraint("state IN ('open', 'named', 'dismissed')", name="state"),
    Index("unknown_cluster_state", "state", "size"),
)

unknown_member = Table(
    "unknown_member",
    metadata,
    Column("turn_id", Text, ForeignKey("turn.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "cluster_id",
        Text,
        ForeignKey("unknown_cluster.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    # Cosine to the cluster's middle: the most typical first.
    Column("likeness", Float, nullable=False),
)

# What the drift watch saw when it looked.
drift_check = Table(
    "drift_check",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model_version", Text),
    # By kind of drift: the statistic, its bound, whether it was passed.
    Column("figures", Json, nullable=False),
    Column("alarm", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)
