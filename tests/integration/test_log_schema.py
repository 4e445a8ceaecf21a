"""One history brings both databases to the same schema."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from actions.tables import metadata as actions_metadata
from bot.errors import DatabaseUrlError, StorageError
from bot.log.database import open_engine, upgrade
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


@pytest.mark.parametrize("url", ["mysql://localhost/kefu", "not a url", ""])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="KEFU_DATABASE_URL"):
        upgrade(url)


def test_a_database_that_is_not_there_is_one_line() -> None:
    with pytest.raises(StorageError, match="check disk, path and server"):
        upgrade("postgresql+psycopg://nobody@127.0.0.1:9/none")
