"""Made-up conversations are like the gateway's own, on both databases."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, func, insert, select

from bot.errors import KefuError
from bot.log import database, tables
from bot.log.inbox_filters import Filters
from bot.log.inbox_pages import Wanted, listed
from bot.log.inbox_rebuild import rebuild
from bot.log.inbox_search import search
from bot.log.known_kinds import KnownKinds
from bot.log.search_terms import terms_of
from bot.log.seed_cli import RealConversations, fill, seed
from bot.log.seed_texts import Material
from bot.log.turn_kinds import kind_of
from bot.world import utc_now

DATA = Path(__file__).parents[2] / "data"
CHECKED = (
    "unanswered_since",
    "last_intent",
    "last_emotion",
    "emotion_trend",
    "had_fallback",
    "lowest_confidence",
    "intent_bits",
    "feature_bits",
)


def test_a_seeded_log_is_what_rebuilding_makes_of_it(database_url: str) -> None:
    made = fill(database_url, Material(DATA), plan=(600, 30, 5))
    engine = database.open_engine(database_url, writer=True)
    columns = [tables.conversation.c[name] for name in ("id", *CHECKED)]
    with engine.begin() as connection:
        turns = connection.execute(select(func.count()).select_from(tables.turn)).scalar_one()
        assert turns == 600
        before = {row.id: row for row in connection.execute(select(*columns))}
        assert len(before) == made
        nameless = select(func.count()).where(
            tables.turn.c.kind_id.not_in(select(tables.turn_kind.c.id))
        )
        assert connection.execute(nameless).scalar_one() == 0
        docs = connection.execute(select(func.count()).select_from(tables.search_doc)).scalar_one()
        connection.execute(delete(tables.search_doc))
        rebuild(connection, list(before))
        again = connection.execute(select(func.count()).select_from(tables.search_doc))
        assert again.scalar_one() == docs
        for row in connection.execute(select(*columns)):
            seeded = before[row.id]
            assert [row.id, *row[1:7]] == [seeded.id, *seeded[1:7]]
            assert row.intent_bits == seeded.intent_bits
            assert row.feature_bits == seeded.feature_bits
        page = listed(connection, Wanted(filters=Filters(emotion="angry")))
        assert page.places
        assert search(connection, terms_of("order"), Wanted()).places
    engine.dispose()


def test_the_same_seed_gives_the_same_conversations(tmp_path: Path) -> None:
    said = []
    for name in ("a", "b"):
        url = f"sqlite:///{tmp_path / name}.db"
        fill(url, Material(DATA), plan=(100, 10, 7))
        engine = database.open_engine(url)
        with engine.connect() as connection:
            said.append(connection.execute(select(tables.turn.c.text)).scalars().all())
        engine.dispose()
    assert said[0] == said[1]


def test_customers_conversations_are_not_mixed_with_made_up_ones_by_accident(
    database_url: str,
) -> None:
    database.upgrade(database_url)
    engine = database.open_engine(database_url, writer=True)
    now = utc_now()
    with engine.begin() as connection:
        connection.execute(
            insert(tables.conversation).values(
                id="c",
                channel="api",
                account="c",
                status="bot",
                last_seq=0,
                created_at=now,
                updated_at=now,
            )
        )
    with pytest.raises(RealConversations, match="--into-existing"):
        fill(database_url, Material(DATA), plan=(50, 10, 1))
    made = fill(database_url, Material(DATA), plan=(50, 10, 1), into_existing=True)
    # Once more beside the first ones.
    made += fill(database_url, Material(DATA), plan=(50, 10, 1), into_existing=True)
    with engine.connect() as connection:
        accounts = list(connection.execute(select(tables.conversation.c.account)).scalars())
    engine.dispose()
    assert sum(account.startswith("seed-") for account in accounts) == made
    assert "c" in accounts


def test_the_command_says_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEFU_DATABASE_URL", f"sqlite:///{tmp_path / 'kefu.db'}")
    monkeypatch.setenv("KEFU_DATA_DIR", str(DATA))
    done = CliRunner().invoke(seed, ["--turns", "60", "--days", "5", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["turns"] == 60


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(KefuError, match="KEFU_DATA_DIR"):
        Material(tmp_path)


def test_a_kind_that_was_rolled_back_is_kept_again(database_url: str) -> None:
    database.upgrade(database_url)
    engine = database.open_engine(database_url, writer=True)
    known = KnownKinds()
    kind = kind_of(
        intent="track_order", emotion=None, model_version="v1", actions=[], confidence=0.9
    )
    count = select(func.count()).select_from(tables.turn_kind)
    with engine.connect() as connection:
        with connection.begin() as undone:
            known.keep(connection, kind)
            known.keep(connection, kind)
            undone.rollback()
        for _ in range(3):
            with connection.begin():
                assert known.keep(connection, kind) == kind.id
                assert connection.execute(count).scalar_one() == 1
    engine.dispose()
