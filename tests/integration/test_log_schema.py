"""One history brings both databases to the same schema."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from actions.tables import metadata as actions_metadata
from bot.errors import DatabaseUrlError, StorageError
from bot.log import remains
from bot.log.database import open_engine, schema_version, upgrade
from bot.log.tables import metadata as log_metadata


def test_the_history_ends_where_the_code_is(database_url: str) -> None:
    upgrade(database_url)
    engine = open_engine(database_url)
    with engine.connect() as connection:
        # The search's words are FTS5 tables on SQLite, an index on PostgreSQL.
        options = {"compare_type": True, "include_name": _but_the_words_of_the_search}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, [log_metadata, actions_metadata])
    engine.dispose()
    assert differences == []


def _but_the_words_of_the_search(name: str | None, kind: str, parents: object) -> bool:
    return not (name or "").startswith("search_words")


def test_upgrading_again_and_at_once_is_harmless(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [database_url] * 4))
    engine = open_engine(database_url)
    assert "turn" in inspect(engine).get_table_names()
    engine.dispose()


def test_tables_that_an_import_made_before_are_kept(database_url: str) -> None:
    engine = open_engine(database_url, writer=True)
    with engine.begin() as connection:
        actions_metadata.create_all(connection)
        connection.execute(
            text(
                "INSERT INTO qa_source (name, kind, sha256, pairs, imported_at) "
                "VALUES ('a', 'yaml', 'x', 0, '2026-01-01')"
            )
        )
    upgrade(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM qa_source")).scalar_one() == 1
    engine.dispose()


def test_an_older_sqlite_file_is_written_anew_at_the_upgrade_and_at_no_other_time(
    tmp_path: Path,
) -> None:
    path, url = tmp_path / "kefu.db", f"sqlite:///{tmp_path / 'kefu.db'}"
    upgrade(url)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("CREATE TABLE other (words TEXT)")
        connection.execute("INSERT INTO other VALUES ('the words that were deleted')")
        connection.execute("DELETE FROM other")
        connection.execute("DROP TABLE other")
        connection.execute("PRAGMA user_version=0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"words that were deleted" in path.read_bytes()
    assert remains.scrub(url, ["message"]) == ["message"]
    assert b"words that were deleted" in path.read_bytes()
    upgrade(url)
    assert b"words that were deleted" not in path.read_bytes()
    assert remains.scrub(url, ["message"]) == []


def test_a_migration_that_fails_undoes_none_before_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SQLAlchemyError("no room left")

    with monkeypatch.context() as patch:
        patch.setattr("bot.log.inbox_rebuild.rebuild_all", fail)
        with pytest.raises(StorageError, match="no room left"):
            upgrade(database_url)
    assert schema_version(database_url)[0] == "0006"
    upgrade(database_url)


@pytest.mark.parametrize("url", ["mysql://localhost/kefu", "not a url", ""])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="KEFU_DATABASE_URL"):
        upgrade(url)


def test_a_database_that_is_not_there_is_one_line() -> None:
    with pytest.raises(StorageError, match="check disk, path and server"):
        upgrade("postgresql+psycopg://nobody@127.0.0.1:9/none")
