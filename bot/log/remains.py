"""What deleted rows leave behind in a database's own files, and how it goes.

SQLite overwrites what it deletes (`secure_delete`, see database.py), but its write-ahead log keeps
older pages, and the segments of a text index keep the words of deleted rows until they are merged.
PostgreSQL keeps dead rows until a vacuum, and the keys of a GIN index until it is rebuilt.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from bot.errors import StorageError
from bot.log.database import is_overwritten, open_engine, sqlite_path

SEARCH = "search_words"
BUSY_TIMEOUT_S = 10
# Of the text index, at once: others may write in between.
MERGED_PAGES = 500
# So long a vacuum waits for transactions that may still see what was deleted.
PATIENCE_S = 5.0
_LOOK_S = 0.05
# Of a REINDEX CONCURRENTLY that was cut off; a full index nobody uses, with all its words.
_LEFTOVERS = (f"{SEARCH}_ccnew", f"{SEARCH}_ccold")
_NEXT = text("SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS xid) AS text)")
# A replica (without a database of its own) holds rows as a session of this database does.
_HOLDERS = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND (datname = current_database() OR datname IS NULL)"
    " AND age(backend_xmin) > age(CAST(CAST(:next AS text) AS xid))"
)


def clean_index(url: str) -> list[str]:
    """Take the words of deleted rows out of the text index; the indexes where it may not.

    Raises StorageError when it is to be tried again.
    """
    statements = [(name, f"DROP INDEX CONCURRENTLY IF EXISTS {name}") for name in _LEFTOVERS]
    statements.append((SEARCH, f"REINDEX INDEX CONCURRENTLY {SEARCH}"))
    return _done(url, _merge, statements)


def scrub(url: str, tables: Sequence[str]) -> list[str]:
    """Take what deleted rows of these tables left out of the files; the tables where it may not.

    Raises StorageError when it is to be tried again.
    """

    def left(connection: sqlite3.Connection) -> list[str]:
        # The upgrade at the start writes an older file anew: here it would keep customers waiting.
        return [] if is_overwritten(connection) else list(tables)

    return _done(url, left, [(name, f'VACUUM "{name}"') for name in tables], _await_readers)


def _done(
    url: str,
    in_sqlite: Callable[[sqlite3.Connection], list[str]],
    in_postgresql: Sequence[tuple[str, str]],
    first: Callable[[Connection], None] = lambda connection: None,
) -> list[str]:
    path = sqlite_path(url)
    try:
        if path is None:
            return _run_postgresql(url, in_postgresql, first)
        with closing(
            sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            failed = in_sqlite(connection)
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise StorageError(str(error)) from error
    except SQLAlchemyError as error:
        raise StorageError(str(getattr(error, "orig", None) or error).splitlines()[0]) from error
    if busy:
        raise StorageError("a long reading of the database keeps its write-ahead log in use")
    return failed


def _merge(connection: sqlite3.Connection) -> list[str]:
    """Merge all segments of the text index into one, which holds no words of deleted rows."""
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (SEARCH,)).fetchone()
    # Negative to begin with: also a segment that would not be due is merged.
    pages = -MERGED_PAGES
    while there:
        before = connection.total_changes
        connection.execute(f"INSERT INTO {SEARCH}({SEARCH}, rank) VALUES ('merge', {pages})")
        if connection.total_changes - before < 2:
            break
        pages = MERGED_PAGES
    return []


def _await_readers(connection: Connection) -> None:
    """Wait for transactions from before now: a vacuum leaves the rows that they may still read."""
    until = time.monotonic() + PATIENCE_S
    following = connection.execute(_NEXT).scalar_one()
    while connection.execute(_HOLDERS, {"next": following}).scalar_one():
        if time.monotonic() > until:
            raise StorageError("a long transaction of the database still reads what was deleted")
        time.sleep(_LOOK_S)


def _run_postgresql(
    url: str, statements: Sequence[tuple[str, str]], first: Callable[[Connection], None]
) -> list[str]:
    engine = open_engine(url)
    failed: list[str] = []
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            first(connection)
            for name, statement in statements:
                try:
                    connection.execute(text(statement))
                except ProgrammingError:
                    # Not the owner: the rows are gone, an administrator is told.
                    failed.append(name)
    finally:
        engine.dispose()
    return failed
