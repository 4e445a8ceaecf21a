"""What deleted rows leave behind in a database's own files, and how it goes.

SQLite overwrites what it deletes (`secure_delete`, see database.py), but its write-ahead log keeps
older pages, and the segments of a text index keep the words of deleted rows until they are merged.
PostgreSQL keeps dead rows until a vacuum, and the keys of a GIN index until it is rebuilt.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from bot.errors import StorageError
from bot.log.database import OVERWRITTEN, open_engine, sqlite_path

SEARCH = "search_words"
BUSY_TIMEOUT_S = 10
# Of the text index, at once: others may write in between.
MERGED_PAGES = 500


def clean_index(url: str) -> list[str]:
    """Take the words of deleted rows out of the text index; the indexes where it may not.

    Raises StorageError when it is to be tried again.
    """
    return _done(url, _merge, [(SEARCH, f"REINDEX INDEX CONCURRENTLY {SEARCH}")])


def scrub(url: str, tables: Sequence[str]) -> list[str]:
    """Take what deleted rows of these tables left out of the files; the tables where it may not.

    Raises StorageError when it is to be tried again.
    """
    return _done(url, _rewrite, [(name, f'VACUUM "{name}"') for name in tables])


def _done(
    url: str,
    in_sqlite: Callable[[sqlite3.Connection], None],
    in_postgresql: Sequence[tuple[str, str]],
) -> list[str]:
    path = sqlite_path(url)
    try:
        if path is None:
            return _run_postgresql(url, in_postgresql)
        with closing(
            sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            in_sqlite(connection)
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise StorageError(str(error)) from error
    except SQLAlchemyError as error:
        raise StorageError(str(getattr(error, "orig", None) or error).splitlines()[0]) from error
    if busy:
        raise StorageError("a long reading of the database keeps its write-ahead log in use")
    return []


def _rewrite(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < OVERWRITTEN:
        # Of a version that did not overwrite: once, the whole file is written anew.
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA user_version={OVERWRITTEN}")


def _merge(connection: sqlite3.Connection) -> None:
    """Merge all segments of the text index into one, which holds no words of deleted rows."""
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (SEARCH,)).fetchone()
    # Negative to begin with: also a segment that would not be due is merged.
    pages = -MERGED_PAGES
    while there:
        before = connection.total_changes
        connection.execute(f"INSERT INTO {SEARCH}({SEARCH}, rank) VALUES ('merge', {pages})")
        if connection.total_changes - before < 2:
            return
        pages = MERGED_PAGES


def _run_postgresql(url: str, statements: Sequence[tuple[str, str]]) -> list[str]:
    engine = open_engine(url)
    failed: list[str] = []
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for name, statement in statements:
                try:
                    connection.execute(text(statement))
                except ProgrammingError:
                    # Not the owner: the rows are gone, an administrator is told.
                    failed.append(name)
    finally:
        engine.dispose()
    return failed
