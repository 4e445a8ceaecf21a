"""The table of turns: one row a turn, in SQLite or PostgreSQL."""

import time
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

# Erased conversations: a turn that was on its way when its conversation went begins none anew.
erased = sa.Table(
    "dialogue_erased",
    metadata,
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("erased_at", sa.Float, nullable=False),  # seconds since 1970
)
REMEMBERED_S = 30 * 86_400.0  # longer than any turn is tried
# SQLite's user_version of a file in which nothing was ever deleted without being overwritten.
OVERWRITTEN = 1


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
        if not sa.inspect(engine).has_table(turns.name):
            _mark_overwritten(engine)
    metadata.create_all(engine)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    # What is deleted is overwritten in the file.
    connection.execute("PRAGMA secure_delete=ON")


def _mark_overwritten(engine: sa.engine.Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA user_version={OVERWRITTEN}")


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


def delete_turns(engine: sa.engine.Engine, ids: Sequence[str]) -> int:
    """Remove conversations and remember that they were; returns how many turns went."""
    now = time.time()
    with engine.begin() as connection:
        removed = connection.execute(turns.delete().where(turns.c.conversation_id.in_(ids)))
        connection.execute(erased.delete().where(erased.c.conversation_id.in_(ids)))
        connection.execute(
            erased.insert(), [{"conversation_id": id_, "erased_at": now} for id_ in ids]
        )
        connection.execute(erased.delete().where(erased.c.erased_at < now - REMEMBERED_S))
    return int(removed.rowcount)


def erased_ids(engine: sa.engine.Engine) -> set[str]:
    """The conversations that were erased and must not come back."""
    with engine.connect() as connection:
        return set(connection.execute(sa.select(erased.c.conversation_id)).scalars())


def scrub(engine: sa.engine.Engine) -> bool:
    """Leave nothing of deleted rows in the database's files; False when a reader was in the way.

    SQLite's write-ahead log is written back and cut to nothing. A file of a version that did not
    overwrite what it deleted is rebuilt, once. PostgreSQL vacuums the table.
    """
    if engine.dialect.name != "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"VACUUM {turns.name}")
        return True
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        if cursor.execute("PRAGMA user_version").fetchone()[0] < OVERWRITTEN:
            cursor.execute("VACUUM")
            cursor.execute(f"PRAGMA user_version={OVERWRITTEN}")
        busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.close()
    finally:
        raw.close()
    return not busy


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
