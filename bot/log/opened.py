"""The log as commands open it: the one that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from bot.errors import LogMissing, StorageError
from bot.log.database import open_engine, sqlite_path
from bot.settings import Settings


@contextmanager
def opened_log(*, writer: bool = False) -> Iterator[Connection]:
    """A connection in a transaction, which commits at the end; raises LogMissing, StorageError."""
    url = Settings().database_url
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise LogMissing(str(path))
    engine = open_engine(url, writer=writer)
    try:
        with engine.begin() as connection:
            if not inspect(connection).has_table("turn"):
                raise LogMissing(engine.url.render_as_string(hide_password=True))
            yield connection
    except SQLAlchemyError as error:
        raise StorageError(str(getattr(error, "orig", error)).splitlines()[0]) from error
    finally:
        engine.dispose()
