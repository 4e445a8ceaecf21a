"""Searching: by meaning, by spelling alone, and while the store or the model changes."""

import asyncio
from pathlib import Path

import numpy as np

from actions.database import Database
from actions.qa.calibration import Ranked, Scale, calibrate, fit_scale
from actions.qa.confidence import DEPTH, fit_confidence
from actions.qa.importing import Importer, read_changed
from actions.qa.index import PairIndex
from actions.qa.lexical import LexicalIndex
from actions.qa.live import QaSearch
from actions.qa.store import read_corpus


async def test_the_nearest_pair_comes_first(search: QaSearch) -> None:
    findings = await search.find("how long does standard delivery take")
    assert findings.hits[0].pair.id == "delivery-001"
    assert findings.sure is not None
    assert 0 <= findings.hits[-1].score <= findings.hits[0].score <= 1


async def test_a_stored_wording_finds_its_own_pair(search: QaSearch) -> None:
    for text, pair_id in [("return window", "returns-001"), ("shipping price", "delivery-002")]:
        assert (await search.find(text)).hits[0].pair.id == pair_id


async def test_spelling_is_enough_while_the_model_is_away(search: QaSearch, embedder) -> None:
    await search.find("delivery time")
    embedder.down = True
    findings = await search.find("How much is standart delivery?")
    assert findings.hits[0].pair.id == "delivery-002"


async def test_a_changed_store_is_loaded_again(
    search: QaSearch, database: Database, embedder, qa_folder: Path
) -> None:
    assert await search.check() == 3
    file = qa_folder / "delivery.yml"
    file.write_text(file.read_text().replace("30 days", "60 days"))
    await Importer(database, embedder).bring_in(read_changed(database, qa_folder))
    pair = await search.pair("returns-001")
    assert pair is not None
    assert pair.answer == "You have 60 days."


async def test_a_new_model_has_the_store_embedded_in_the_background(
    search: QaSearch, embedder
) -> None:
    await search.find("delivery time")
    embedder.name = "fake-2"
    during = await search.find("How much is standard delivery?")
    assert during.hits[0].pair.id == "delivery-002"
    await asyncio.wait_for(search._embedding, 10)
    embedder.asked.clear()
    after = await search.find("How much is standard delivery?")
    assert after.hits[0].pair.id == "delivery-002"
    assert embedder.asked == ["How much is standard delivery?"]


async def test_the_store_stays_usable_when_the_database_goes(
    search: QaSearch, database: Database, monkeypatch
) -> None:
    await search.check()

    def gone(connection):
        from sqlalchemy.exc import OperationalError

        raise OperationalError("select", {}, Exception("disk gone"))

    monkeypatch.setattr("actions.qa.live.read_version", gone)
    assert (await search.find("delivery time")).hits[0].pair.id == "delivery-001"


def test_spelling_counts_what_the_query_has_beyond_the_text() -> None:
    index = LexicalIndex(["return window", "shipping price"])
    exact = index.scores("return window")
    longer = index.scores("return window zebra quintet")
    assert np.isclose(exact[0], 1)
    assert longer[0] < exact[0]
    assert index.scores("")[0] == 0
    assert index.scores("!?")[1] == 0


async def test_leaving_one_out_is_what_a_store_without_it_would_say(
    search: QaSearch, database: Database, embedder
) -> None:
    corpus = database.reading(lambda c: read_corpus(c, "fake-1"))
    prior = PairIndex(corpus).prior
    row = 4  # a variant of delivery-002
    left_out = prior.scores_without(np.asarray([row]), corpus.vectors)[0]
    keep = np.arange(len(corpus.texts)) != row
    x = corpus.vectors[keep].astype(float)
    y = np.eye(3)[prior.of_wording[keep]]
    weights = np.linalg.solve(x.T @ x + 0.3 * np.eye(64), x.T @ y)
    assert np.allclose(left_out, corpus.vectors[row] @ weights, atol=1e-3)


def test_a_store_too_small_to_measure_gets_the_defaults(
    search: QaSearch, database: Database
) -> None:
    corpus = database.reading(lambda c: read_corpus(c, "fake-1"))
    calibration = calibrate(PairIndex(corpus), [], np.zeros((0, 64), np.float32))
    assert calibration.full == Scale()
    assert calibration.top1 is None


def _ranked(best: np.ndarray, right: np.ndarray) -> Ranked:
    return Ranked(best=best, first_right=right, in_offer=right, intent_right=right)


def test_confidence_follows_the_lead_on_the_second() -> None:
    rng = np.random.default_rng(0)
    best = np.sort(rng.random((400, DEPTH)).astype(np.float32), axis=1)[:, ::-1].copy()
    right = best[:, 0] - best[:, 1] > 0.15
    confidence = fit_confidence(best, right, np.ones(400))
    assert confidence.of([0.9, 0.4, 0.3, 0.2]) > 0.9
    assert confidence.of([0.9, 0.89, 0.3, 0.2]) < 0.1
    assert confidence.of([0.9]) > confidence.of([0.9, 0.9])


def test_strange_texts_push_the_thresholds_up() -> None:
    rng = np.random.default_rng(1)
    best = np.sort(rng.random((300, DEPTH)).astype(np.float32), axis=1)[:, ::-1].copy()
    right = best[:, 0] > 0.6
    calm = fit_scale(_ranked(best, right), np.zeros((0, DEPTH), np.float32))
    assert 0 < calm.offer <= calm.answer < 1
    answered = calm.confidence.of_many(best) >= calm.answer
    assert right[answered].mean() > 0.9
    odd = np.sort(rng.random((300, DEPTH)).astype(np.float32), axis=1)[:, ::-1].copy()
    wary = fit_scale(_ranked(best, right), odd)
    share = (wary.confidence.of_many(odd) >= wary.answer).mean()
    assert share < (calm.confidence.of_many(odd) >= calm.answer).mean() + 1e-9
