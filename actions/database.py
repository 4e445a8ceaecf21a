"""The database as the action server uses it: one engine, short transactions, off the event loop."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from actions.errors import StoreError

BUSY_TIMEOUT_MS = 5_000
POSTGRES_STATEMENT_TIMEOUT_MS = 10_000

T = TypeVar("T")


class Database:
    """Runs functions over a connection, each in a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(kefu_writes=True)  # the same pool
        self.is_sqlite = engine.dialect.name == "sqlite"

    def reading(self, work: Callable[[Connection], T]) -> T:
        """The result of `work` in a transaction that changes nothing."""
        with self.engine.connect() as connection:
            return work(connection)

    def writing(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, committed; on an error nothing of it stays."""
        # IMMEDIATE: a read that turns into a write while another process writes would fail at
        # once on SQLite, without waiting for the busy timeout.
        with self._writer.begin() as connection:
            return work(connection)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """As `reading`, without holding up the event loop.

        A row by key from a local SQLite file takes less than the switch to a thread would, and
        in WAL mode a reader waits for nobody: so SQLite is read in place.
        """
        if self.is_sqlite:
            return self.reading(work)
        return await asyncio.to_thread(self.reading, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """As `writing`, in a thread: a commit waits for the disk and for other writers."""
        return await asyncio.to_thread(self.writing, work)

    def close(self) -> None:
        """Closes the pooled connections."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """The database at a SQLAlchemy URL.

    Raises StoreError when the URL is wrong or its SQLite folder is missing.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return Database(_sqlite_engine(url, parsed.database))
        options = f"-c statement_timeout={POSTGRES_STATEMENT_TIMEOUT_MS}"
        engine = create_engine(
            parsed, pool_pre_ping=True, connect_args={"options": options, "connect_timeout": 5}
        )
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(f"KEFU_DATABASE_URL is not a database URL ({error})") from None
    return Database(engine)


def _sqlite_engine(url: str, file: str | None) -> Engine:
    if file and file != ":memory:" and not Path(file).parent.is_dir():
        raise StoreError(f"the folder {Path(file).parent} does not exist")
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # We say BEGIN ourselves (below): sqlite3 would say it too late, before the first write.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            # What is deleted is overwritten in the file: erased customers leave no bytes.
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("kefu_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def as_utc(moment: datetime) -> datetime:
    """The moment in UTC; SQLite gives back without a zone what was stored with one."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def one_line(error: SQLAlchemyError) -> str:
    """What the database driver said, in one line."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
