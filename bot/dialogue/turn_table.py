"""The table of turns: one row a turn, in SQLite or PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import ujson

metadata = sa.MetaData()

turns = sa.Table(
    "dialogue_turn",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("message_id", sa.Text, nullable=True),
    sa.Column("text", sa.Text, nullable=True),
    sa.Column("events", sa.Text, nullable=False),
    sa.Column("replies", sa.Text, nullable=False),
    sa.Column("parse", sa.Text, nullable=False),
    sa.Column("snapshot", sa.Text, nullable=False),
    # Two processes that both believe to hold a conversation's tracker cannot both append to it.
    sa.UniqueConstraint("conversation_id", "seq", name="uq_dialogue_turn_seq"),
    sa.UniqueConstraint("conversation_id", "message_id", name="uq_dialogue_turn_message"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn as it is stored. Turns of Rasa's other channels have no message id."""

    conversation_id: str
    seq: int
    message_id: str | None
    text: str | None
    events: list[dict[str, Any]]
    replies: list[dict[str, Any]]
    parse: dict[str, Any]
    snapshot: dict[str, Any]


def open_database(url: str) -> sa.engine.Engine:
    """Connect, set SQLite up for one writer beside readers, and create the table if missing."""
    if not url.startswith("sqlite"):
        engine = sa.create_engine(url, pool_size=3, pool_pre_ping=True)
    else:
        path = sa.engine.make_url(url).database
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            url,
            # Kept open: SQLite writes its log back into the file when the last connection closes.
            poolclass=sa.pool.QueuePool,
            pool_size=3,
            connect_args={"check_same_thread": False, "timeout": 10},
        )
        sa.event.listen(engine, "connect", _set_up_sqlite)
    metadata.create_all(engine)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def insert_turns(connection: sa.engine.Connection, batch: Sequence[Turn]) -> None:
    """Append turns in the caller's transaction. Raises IntegrityError when one is there already."""
    connection.execute(
        turns.insert(),
        [
            {
                "conversation_id": turn.conversation_id,
                "seq": turn.seq,
                "message_id": turn.message_id,
                "text": turn.text,
                "events": ujson.dumps(turn.events),
                "replies": ujson.dumps(turn.replies),
                "parse": ujson.dumps(turn.parse),
                "snapshot": ujson.dumps(turn.snapshot),
            }
            for turn in batch
        ],
    )


def last_turns(engine: sa.engine.Engine, conversation_id: str, limit: int | None) -> list[Turn]:
    """The last turns of a conversation in their order, all when there is no limit."""
    query = (
        sa.select(turns)
        .where(turns.c.conversation_id == conversation_id)
        .order_by(turns.c.seq.desc())
    )
    if limit is not None:
        query = query.limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [_turn(row) for row in reversed(rows)]


def find_turn(engine: sa.engine.Engine, conversation_id: str, message_id: str) -> Turn | None:
    """The turn that answered a message, if it was answered."""
    query = sa.select(turns).where(
        turns.c.conversation_id == conversation_id, turns.c.message_id == message_id
    )
    with engine.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else _turn(row)


def answered_messages(engine: sa.engine.Engine, conversation_id: str) -> set[str]:
    """The ids of all messages of a conversation that were answered."""
    query = sa.select(turns.c.message_id).where(
        turns.c.conversation_id == conversation_id, turns.c.message_id.is_not(None)
    )
    with engine.connect() as connection:
        return set(connection.execute(query).scalars())


def conversation_ids(engine: sa.engine.Engine) -> list[str]:
    """The ids of all conversations."""
    with engine.connect() as connection:
        return list(connection.execute(sa.select(turns.c.conversation_id).distinct()).scalars())


def _turn(row: Any) -> Turn:
    return Turn(
        conversation_id=row.conversation_id,
        seq=row.seq,
        message_id=row.message_id,
        text=row.text,
        events=ujson.loads(row.events),
        replies=ujson.loads(row.replies),
        parse=ujson.loads(row.parse),
        snapshot=ujson.loads(row.snapshot),
    )
