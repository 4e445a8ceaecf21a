"""Takes made-up rows in bulk: executemany for SQLite, COPY for PostgreSQL."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import Connection, text

from bot.log.database import open_engine
from bot.log.known_kinds import ADD_KIND
from bot.log.search_docs import column_of
from bot.log.seed_story import COLUMNS, Batch, Row
from bot.log.turn_kinds import row_of

Progress = Callable[[str], None]


class Sink(Protocol):
    """Where batches go."""

    def add(self, batch: Batch) -> None:
        """Keep a batch, in one transaction."""
        ...


@contextmanager
def bulk_sink(url: str, *, alone: bool, progress: Progress) -> Iterator[Sink]:
    """A sink for the database at `url`; `alone` where nothing else is in it or uses it.

    At its end the planner's statistics are brought up to date.
    """
    engine = open_engine(url, writer=True)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                with _postgresql(connection, alone=alone, progress=progress) as sink:
                    yield sink
            else:
                with _sqlite(connection, progress=progress) as sink:
                    yield sink
    finally:
        engine.dispose()


class _SqliteSink:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._statements = {
            table: f"INSERT INTO {table} ({', '.join(COLUMNS[table])})"
            f" VALUES ({', '.join('?' * len(COLUMNS[table]))})"
            for table in COLUMNS
        }

    def add(self, batch: Batch) -> None:
        with self._connection.begin():
            _add_kinds(self._connection, batch)
            cursor = self._connection.connection.cursor()
            for table in COLUMNS:
                cursor.executemany(
                    self._statements[table], [_for_sqlite(row) for row in batch.rows[table]]
                )
            cursor.close()


def _for_sqlite(row: Row) -> Row:
    return tuple(
        f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
        if isinstance(value, datetime)
        else " ".join(value)
        if isinstance(value, tuple)
        else value
        for value in row
    )


@contextmanager
def _sqlite(connection: Connection, *, progress: Progress) -> Iterator[Sink]:
    # Made-up rows can be made up again: a power cut may lose the last of them.
    cursor = connection.connection.cursor()
    for pragma in ("synchronous=NORMAL", "cache_size=-262144", "wal_autocheckpoint=20000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    yield _SqliteSink(connection)
    progress("sorting what the search knows")
    with connection.begin():
        connection.execute(text("INSERT INTO search_words(search_words) VALUES ('optimize')"))
    with connection.begin():
        connection.execute(text("ANALYZE"))


class _PostgresqlSink:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, batch: Batch) -> None:
        with self._connection.begin():
            _add_kinds(self._connection, batch)
            driver: Any = self._connection.connection.driver_connection
            with driver.cursor() as cursor:
                for table in COLUMNS:
                    names = ", ".join(COLUMNS[table])
                    with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                        for row in batch.rows[table]:
                            copy.write_row(_for_postgresql(row))


def _for_postgresql(row: Row) -> Iterable[Any]:
    return (column_of("postgresql", value) if isinstance(value, tuple) else value for value in row)


@contextmanager
def _postgresql(connection: Connection, *, alone: bool, progress: Progress) -> Iterator[Sink]:
    index = connection.execute(
        text("SELECT indexdef FROM pg_indexes WHERE indexname = 'search_words'")
    ).scalar_one()
    connection.execute(text("SET synchronous_commit = off"))
    if alone:
        connection.execute(text("DROP INDEX search_words"))
    connection.commit()
    try:
        yield _PostgresqlSink(connection)
    finally:
        connection.rollback()
        if alone:
            progress("sorting what the search knows")
            connection.execute(text("SET maintenance_work_mem = '512MB'"))
            connection.execute(text(index))
            connection.commit()
    own = connection.execution_options(isolation_level="AUTOCOMMIT")
    progress("statistics")
    own.execute(text("VACUUM (ANALYZE)"))


def _add_kinds(connection: Connection, batch: Batch) -> None:
    if batch.kinds:
        connection.execute(
            ADD_KIND[connection.dialect.name],
            [row_of(kind) for kind in batch.kinds.values()],
        )
