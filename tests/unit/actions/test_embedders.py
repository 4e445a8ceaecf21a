"""Another embedder behind the store: promotions, roll-backs, and what is found meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from actions.database import Database
from actions.errors import UnderstandingError
from actions.qa.calibration import Calibration, Scale, calibrate
from actions.qa.embedders import KEPT, keep_calibration, read_calibration
from actions.qa.importing import Importer, read_changed
from actions.qa.index import Corpus, PairIndex
from actions.qa.live import QaSearch
from actions.qa.pairs import MAX_DOCUMENT_ANSWER, Pair
from actions.qa.refitting import embed_missing, prepare
from actions.qa.revisions import Change, change_pair
from actions.qa.store import read_corpus, read_state, read_version
from actions.qa.vectors import texts_to_embed, write_embeddings
from actions.tables import QaVariant, QaVector
from actions.understanding import Embeddings
from nlu import retriever_pairs
from tests.unit.actions.conftest import NOW, FakeEmbedder

QUESTION = "how much is delivery by standard post"


async def scores_of(database: Database, embedder: FakeEmbedder, name: str | None) -> list[float]:
    """What the search finds for QUESTION in the set of an embedder, or by spelling alone."""
    index = PairIndex(database.reading(lambda c: read_corpus(c, name or "fake-1")))
    vector = None
    if name is not None:
        vector = (await FakeEmbedder(name).embed([QUESTION])).vectors[0]
    return [hit.score for hit in index.search(QUESTION, vector, 4)]


async def found(search: QaSearch) -> list[float]:
    return [hit.score for hit in (await search.find(QUESTION)).hits]


async def settled(search: QaSearch) -> None:
    if search._embedding is not None:
        await asyncio.wait_for(search._embedding, 10)


async def test_a_roll_back_is_answered_at_once_by_the_vectors_kept(
    search: QaSearch, database: Database, embedder: FakeEmbedder
) -> None:
    before = await found(search)
    embedder.name = "fake-2"
    assert await found(search) == await scores_of(database, embedder, None)
    await settled(search)
    after = await found(search)
    assert after == await scores_of(database, embedder, "fake-2") != before
    embedder.name = "fake-1"
    embedder.asked.clear()
    assert await found(search) == before
    await settled(search)
    assert set(embedder.asked) == {QUESTION, "hello"}
    state = database.reading(read_state)
    assert state is not None
    assert state.embedder == "fake-1"
    assert await found(search) == before


async def test_an_embedder_made_ready_before_its_promotion_leaves_no_gap(
    search: QaSearch, database: Database, embedder: FakeEmbedder
) -> None:
    before, version = await found(search), database.reading(read_version)
    made = await prepare(database, FakeEmbedder("fake-2"))
    assert (made.embedder, made.embedded, made.fitted) == ("fake-2", 12, True)
    assert await found(search) == before
    assert database.reading(read_version) == version
    embedder.name = "fake-2"
    embedder.asked.clear()
    assert await found(search) == await scores_of(database, embedder, "fake-2")
    await settled(search)
    assert set(embedder.asked) == {QUESTION, "hello"}
    again = await prepare(database, FakeEmbedder("fake-2"))
    assert (again.embedded, again.fitted) == (0, False)


async def test_no_search_meanwhile_compares_two_embedders(
    search: QaSearch, database: Database, embedder: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actions.qa.refitting._EMBED_STEP", 2)
    allowed = [await scores_of(database, embedder, name) for name in (None, "fake-1")]
    seen: list[list[float]] = []

    class Busy(FakeEmbedder):
        async def embed(self, texts: Sequence[str]) -> Embeddings:
            made = await super().embed(texts)
            if list(texts) not in ([QUESTION], ["hello"]):
                search.look_again()
                seen.append(await found(search))
            return made

    busy = Busy("fake-2")
    search._embedder, search._importer = busy, Importer(database, busy)
    await found(search)
    await settled(search)
    assert len(seen) == 6
    assert all(scores in allowed for scores in seen)
    assert await found(search) == await scores_of(database, embedder, "fake-2")


async def test_a_service_that_changes_half_way_is_embedded_under_no_wrong_name(
    database: Database, embedder: FakeEmbedder, search: QaSearch
) -> None:
    with pytest.raises(UnderstandingError, match="exchanged"):
        await embed_missing(database, embedder, "fake-2")
    assert database.reading(lambda c: read_calibration(c, "fake-2")) is None
    stored = database.reading(lambda c: c.execute(select(QaVector.embedder).distinct()).all())
    assert [row.embedder for row in stored] == ["fake-1"]


async def test_an_edit_leaves_the_vectors_of_what_it_did_not_touch_in_every_set(
    search: QaSearch, database: Database
) -> None:
    await prepare(database, FakeEmbedder("fake-2"))
    pair = await search.pair("delivery-002")
    assert pair is not None
    edited = replace(pair, variants=("shipping price", "what is the postage"))
    database.writing(lambda c: change_pair(c, edited, Change(actor="Rita"), NOW))
    for name in ("fake-1", "fake-2"):
        missing = database.reading(lambda c, name=name: texts_to_embed(c, name))
        assert [text for _, text in missing] == ["what is the postage"]
        corpus = database.reading(lambda c, name=name: read_corpus(c, name))
        place = corpus.texts.index("shipping price")
        right = (await FakeEmbedder(name).embed(["shipping price"])).vectors[0]
        assert np.allclose(corpus.vectors[place], right)


async def test_a_set_with_an_edit_is_made_whole_before_it_is_searched_again(
    search: QaSearch, database: Database, embedder: FakeEmbedder
) -> None:
    await prepare(database, FakeEmbedder("fake-2"))
    pair = await search.pair("delivery-002")
    assert pair is not None
    edited = replace(pair, variants=("what is the postage",))
    database.writing(lambda c: change_pair(c, edited, Change(actor="Rita"), NOW))
    embedder.name = "fake-2"
    assert await found(search) == await scores_of(database, embedder, None)
    await settled(search)
    assert await found(search) == await scores_of(database, embedder, "fake-2")


async def test_few_embedders_are_kept_and_the_one_in_use_always(
    search: QaSearch, database: Database
) -> None:
    empty = Calibration(full=Scale(), lexical=Scale()).as_dict()
    for number in range(2, 7):
        await embed_missing(database, FakeEmbedder(f"fake-{number}"), f"fake-{number}")
        at = NOW + timedelta(days=1000 + number)
        database.writing(lambda c, n=number, at=at: keep_calibration(c, f"fake-{n}", empty, at))
    kept = database.reading(lambda c: c.execute(select(QaVector.embedder).distinct()).all())
    assert {row.embedder for row in kept} == {"fake-1", "fake-5", "fake-6"}
    assert len(kept) == KEPT


async def test_a_row_that_became_another_wording_gets_no_vector_of_the_old(
    search: QaSearch, database: Database
) -> None:
    rows = database.reading(lambda c: texts_to_embed(c, "fake-2"))
    (first, _), second = rows[0], rows[1]
    vectors = np.ones((2, 64), dtype=np.float32)
    database.writing(
        lambda c: write_embeddings(c, [(first, "was another text"), second], vectors, "fake-2")
    )
    stored = database.reading(
        lambda c: c.execute(select(QaVector.variant_id).where(QaVector.embedder == "fake-2")).all()
    )
    assert [row.variant_id for row in stored] == [second[0]]


async def test_a_pair_taken_out_takes_its_vectors_along(
    search: QaSearch, database: Database
) -> None:
    database.writing(
        lambda c: c.execute(QaVariant.__table__.delete().where(QaVariant.pair_id == "returns-001"))
    )
    left = database.reading(lambda c: c.execute(select(QaVector.variant_id)).all())
    assert len(left) == 8


async def test_importing_for_another_embedder_switches_the_store(
    search: QaSearch, database: Database, qa_folder: Path
) -> None:
    report = await Importer(database, FakeEmbedder("fake-2")).bring_in(
        read_changed(database, qa_folder)
    )
    assert (report.added, report.changed, report.embedded) == (0, 0, 12)
    state = database.reading(read_state)
    assert state is not None
    assert state.embedder == "fake-2"


def store_of(embedder: str, pairs: int) -> PairIndex:
    rng = np.random.default_rng(0)
    made = tuple(
        Pair(
            id=f"p{n}",
            intent="x",
            category="y",
            question=f"q{n}",
            variants=tuple(f"v{n} {k}" for k in range(4)),
            answer="a",
        )
        for n in range(pairs)
    )
    texts = tuple(text for pair in made for text in pair.wordings)
    vectors = rng.normal(size=(len(texts), 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return PairIndex(
        Corpus(
            pairs=made,
            documents=vectors[::5],
            owners=np.repeat(np.arange(pairs, dtype=np.int32), 5),
            texts=texts,
            vectors=vectors,
            embedder=embedder,
        )
    )


def test_a_tuned_embedder_is_calibrated_on_what_it_never_learnt() -> None:
    nothing = np.zeros((0, 16), np.float32)
    base = calibrate(store_of("minilm-0123", 40), [], nothing)
    tuned = calibrate(store_of("minilm-tuned-0123", 40), [], nothing)
    assert base.queries == 160
    assert 20 < tuned.queries < 100


def test_an_index_like_another_finds_the_same() -> None:
    one = store_of("a", 6)
    other = PairIndex(one.corpus, like=one)
    assert other._spelling is one._spelling
    vector = one.corpus.vectors[3]
    assert other.search("v1 2", vector, 3) == one.search("v1 2", vector, 3)
    changed = replace(one.corpus, texts=("new", *one.corpus.texts[1:]))
    assert PairIndex(changed, like=one)._spelling is not one._spelling


def test_the_retriever_is_taught_what_the_store_embeds() -> None:
    from actions.qa import index
    from nlu import retriever, retriever_scores

    assert retriever_pairs.MAX_DOCUMENT_ANSWER == MAX_DOCUMENT_ANSWER
    assert (
        retriever_scores.DOCUMENT_WEIGHT,
        retriever_scores.QUESTION_WEIGHT,
        retriever_scores.WORDING_WEIGHT,
    ) == (index.DOCUMENT_WEIGHT, index.QUESTION_WEIGHT, index.WORDING_WEIGHT)
    assert retriever.RetrieverRecipe().question_weight == index.QUESTION_WEIGHT
