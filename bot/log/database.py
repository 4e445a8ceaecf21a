"""Engines for SQLite and PostgreSQL, and the one Alembic history that both go through."""

import fcntl
import json
import logging
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bot.errors import DatabaseUrlError, StorageError

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent.parent / "migrations"
BUSY_TIMEOUT_S = 15
# For PostgreSQL: a server that vanishes without a word is noticed within half a minute.
PATIENCE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "tcp_user_timeout": 20_000,
}
# Any fixed number: all gateways on one PostgreSQL database take the same advisory lock.
UPGRADE_LOCK = 0x6B656675
# SQLite's user_version of a file in which nothing was ever deleted without being overwritten.
OVERWRITTEN = 1


def open_engine(url: str, *, writer: bool = False) -> Engine:
    """An engine for `url`; a `writer` takes SQLite's write lock when a transaction begins.

    Raises DatabaseUrlError for anything but SQLite and PostgreSQL (with psycopg 3).
    """
    kind = _kind(url)
    if kind == "postgresql":
        return create_engine(
            url,
            json_serializer=_dump,
            pool_pre_ping=not writer,
            connect_args=PATIENCE,
        )
    engine = create_engine(
        url,
        json_serializer=_dump,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_S},
    )
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling is off: it would begin late, on the first write.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            # What is deleted is overwritten in the file.
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def upgrade(url: str) -> None:
    """Bring the schema at `url` to the newest version; safe from several processes at once.

    Raises DatabaseUrlError, or StorageError when the database cannot be reached or changed.
    """
    # Alembic takes a third of a second to import: only who upgrades pays.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    _make_folder(url)
    engine = open_engine(url, writer=True)
    try:
        with _upgrade_lock(url, engine), engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
            _overwrite_once(url)
    except (SQLAlchemyError, OSError) as error:
        raise StorageError(_first_line(error)) from error
    finally:
        engine.dispose()


def _overwrite_once(url: str) -> None:
    """Write a SQLite file of a version that did not overwrite what it deleted anew, as a whole.

    Before messages come in: nobody can write meanwhile. Where it cannot be done now, the next
    start does it, and reports of erasures say so.
    """
    path = sqlite_path(url)
    if path is None:
        return
    try:
        with closing(
            sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        ) as connection:
            if is_overwritten(connection):
                return
            logger.info("the database file is written anew, once", extra={"file": path.name})
            connection.execute("VACUUM")
            connection.execute(f"PRAGMA user_version={OVERWRITTEN}")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        logger.warning("the database file is not written anew", extra={"error": str(error)})


def is_overwritten(connection: sqlite3.Connection) -> bool:
    """Whether nothing was ever deleted in this file without being overwritten."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version >= OVERWRITTEN)


def check(engine: Engine) -> None:
    """Answer when the database does; raises StorageError when it does not."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise StorageError(_first_line(error)) from error


def schema_version(url: str) -> tuple[str | None, str | None]:
    """(version of the schema at `url`, newest version); None for a database not made yet.

    Raises DatabaseUrlError, or StorageError when the database cannot be reached.
    """
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    newest = ScriptDirectory.from_config(config).get_current_head()
    path = sqlite_path(url) if _kind(url) == "sqlite" else None
    if path is not None and not path.exists():
        return None, newest
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision(), newest
    except SQLAlchemyError as error:
        raise StorageError(_first_line(error)) from error
    finally:
        engine.dispose()


@contextmanager
def _upgrade_lock(url: str, engine: Engine) -> Iterator[None]:
    """Only one process migrates at a time: an advisory lock, or a lock file beside the file."""
    if _kind(url) == "postgresql":
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": UPGRADE_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": UPGRADE_LOCK})
        return
    path = sqlite_path(url)
    if path is None:
        yield
        return
    with path.with_name(path.name + ".upgrade").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
                connection.execute(f"PRAGMA user_version={OVERWRITTEN}")
        yield


def libpq_address(url: str) -> str:
    """The PostgreSQL URL as psycopg takes it, without SQLAlchemy's driver; holds the password."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for a database in memory or another server."""
    database = make_url(url).database if _kind(url) == "sqlite" else None
    return None if database in (None, "", ":memory:") else Path(str(database))


def _make_folder(url: str) -> None:
    path = sqlite_path(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)


def _kind(url: str) -> str:
    try:
        kind = make_url(url).get_backend_name()
    except ArgumentError as error:
        raise DatabaseUrlError(url) from error
    if kind not in ("sqlite", "postgresql"):
        raise DatabaseUrlError(make_url(url).render_as_string(hide_password=True))
    return kind


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        # PostgreSQL takes no NaN, which is no JSON: one such number is not to cost the whole row.
        return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
