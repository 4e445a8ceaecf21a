"""Several embedders' vectors in the store, on both databases: upgrade, roll-back, erasure."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, text

from actions.database import Database, open_database
from actions.qa.importing import Importer, read_changed
from actions.qa.live import QaSearch
from actions.qa.origins import forget_origins
from actions.qa.pairs import Pair
from actions.qa.refitting import prepare
from actions.qa.revisions import Change, change_pair
from actions.qa.store import read_corpus, read_state
from actions.qa.vectors import write_embeddings
from actions.tables import QaVector
from bot.log.database import MIGRATIONS, open_engine, upgrade
from tests.unit.actions.conftest import NOW, QA, FakeEmbedder

BEFORE = "0013"
QUESTION = "how much is delivery by standard post"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    upgrade(database_url)
    database = open_database(database_url)
    yield database
    database.close()


@pytest.fixture
async def filled(database: Database, tmp_path: Path) -> Database:
    folder = tmp_path / "qa"
    folder.mkdir()
    (folder / "delivery.yml").write_text(QA)
    await Importer(database, FakeEmbedder("one")).bring_in(read_changed(database, folder))
    return database


def migrate(url: str, revision: str, *, down: bool = False) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = open_engine(url, writer=True)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, revision)
        connection.commit()
    engine.dispose()


def test_an_upgrade_moves_vectors_and_thresholds_and_a_downgrade_brings_them_back(
    database_url: str,
) -> None:
    migrate(database_url, BEFORE)
    vector = np.ones(4, dtype="<f4").tobytes()
    engine = open_engine(database_url, writer=True)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO qa_source VALUES ('a', 'yaml', 'x', 1, '2026-01-01 00:00:00+00:00')")
        )
        connection.execute(
            text(
                "INSERT INTO qa_pair (id, intent, category, question, answer, source, fingerprint,"
                " active, created_at, updated_at) VALUES ('p', 'i', 'c', 'q', 'a', 'a', 'f', true,"
                " '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00')"
            )
        )
        for position, made in ((0, vector), (1, None)):
            connection.execute(
                text(
                    "INSERT INTO qa_variant (pair_id, position, text, embedding, embedder) "
                    "VALUES ('p', :position, :text, :vector, :embedder)"
                ),
                {
                    "position": position,
                    "text": f"wording {position}",
                    "vector": made,
                    "embedder": made and "minilm-1",
                },
            )
        connection.execute(
            text(
                "INSERT INTO qa_state VALUES (1, 7, 'minilm-1', 0.5, 0.1, '{\"queries\": 3}', "
                "'2026-01-01 00:00:00+00:00')"
            )
        )
    upgrade(database_url)
    with engine.connect() as connection:
        rows = connection.execute(select(QaVector.__table__)).all()
        assert [(row.embedder, bytes(row.embedding)) for row in rows] == [("minilm-1", vector)]
        scale = connection.execute(text("SELECT embedder, calibration FROM qa_scale")).one()
        assert scale.embedder == "minilm-1"
        assert "queries" in str(scale.calibration)
    engine.dispose()
    migrate(database_url, BEFORE, down=True)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT embedding, embedder FROM qa_variant ORDER BY position")
        ).all()
        assert bytes(rows[0].embedding) == vector
        assert [row.embedder for row in rows] == ["minilm-1", None]
    engine.dispose()


async def test_promotion_and_roll_back_are_answered_by_whole_sets(filled: Database) -> None:
    service = FakeEmbedder("one")
    search = QaSearch(filled, service, Importer(filled, service), refresh_s=0)
    before = [hit.score for hit in (await search.find(QUESTION)).hits]
    made = await prepare(filled, FakeEmbedder("two"))
    assert made.embedded == 12
    service.name = "two"
    service.asked.clear()
    promoted = [hit.score for hit in (await search.find(QUESTION)).hits]
    assert search._embedding is not None
    await asyncio.wait_for(search._embedding, 20)
    assert [hit.score for hit in (await search.find(QUESTION)).hits] == promoted != before
    state = filled.reading(read_state)
    assert state is not None
    assert state.embedder == "two"
    service.name = "one"
    assert [hit.score for hit in (await search.find(QUESTION)).hits] == before
    await asyncio.wait_for(search._embedding, 20)
    assert set(service.asked) == {QUESTION, "hello"}
    await search.close()


async def test_two_processes_may_embed_for_the_same_embedder(filled: Database) -> None:
    await asyncio.gather(*(prepare(filled, FakeEmbedder("two")) for _ in range(3)))
    corpus = filled.reading(lambda c: read_corpus(c, "two"))
    assert np.allclose(np.linalg.norm(corpus.vectors, axis=1), 1)
    filled.writing(
        lambda c: write_embeddings(c, [(1, corpus.texts[0])], np.zeros((1, 64), np.float32), "two")
    )
    again = filled.reading(lambda c: read_corpus(c, "two"))
    assert np.array_equal(again.vectors, corpus.vectors)


async def test_an_erased_wording_leaves_no_vector_in_any_set(filled: Database) -> None:
    pair = Pair(
        id="returns-001",
        intent="ask_return_policy",
        category="delivery",
        question="How long do I have to return something?",
        variants=("return window", "last day to send it back", "my own words"),
        answer="You have 30 days.",
    )
    change = Change(actor="Rita", conversation_id="c-1")
    filled.writing(lambda c: change_pair(c, pair, change, NOW))
    for name in ("one", "two"):
        await prepare(filled, FakeEmbedder(name))
    count = len(filled.reading(lambda c: c.execute(select(QaVector.variant_id)).all()))
    assert count == 2 * 13
    filled.writing(lambda c: forget_origins(c, ["c-1"], NOW))
    left = filled.reading(lambda c: c.execute(select(QaVector.variant_id)).all())
    assert len(left) == 2 * 12
