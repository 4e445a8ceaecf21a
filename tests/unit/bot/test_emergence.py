"""What came up of late is told from what was always there, whatever the embedder."""

import numpy as np
import pytest

from bot.log import emergence
from bot.log.emergence import nearest_texts

DIM = 32


def said(chance: np.random.Generator, topics: np.ndarray, which: np.ndarray) -> emergence.Vectors:
    """A text of each topic: near to its middle."""
    vectors = topics[which] + 0.08 * chance.standard_normal((len(which), DIM))
    normed = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(normed, dtype=np.float32)


def middles(chance: np.random.Generator, count: int) -> np.ndarray:
    found = chance.standard_normal((count, DIM))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@pytest.mark.parametrize("texts", [17, 500, 501, 1203])
def test_the_nearest_are_found_across_parts(texts: int) -> None:
    chance = np.random.default_rng(1)
    vectors = said(chance, middles(chance, 8), chance.integers(0, 8, texts))
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -2)
    wanted = np.sort(likeness, axis=1)[:, ::-1][:, :16]
    nearest = nearest_texts(vectors)
    found = np.take_along_axis(likeness, nearest, axis=1)
    assert nearest.shape == (texts, 16)
    assert np.allclose(found, wanted, atol=1e-6)


def test_what_was_always_there_seldom_looks_new() -> None:
    chance = np.random.default_rng(2)
    vectors = said(chance, middles(chance, 60), chance.integers(0, 60, 2000))
    scores = emergence.emergence(nearest_texts(vectors))
    assert (scores[:1000] == 0).all()
    assert (scores >= 4).mean() < 0.015
    assert scores.max() < 9


@pytest.mark.parametrize(("begins", "texts"), [(1750, 6), (1500, 10), (1000, 16)])
def test_a_topic_that_comes_up_stands_out(begins: int, texts: int) -> None:
    chance = np.random.default_rng(3)
    which = chance.integers(0, 60, 2000)
    new = chance.choice(np.arange(begins, 2000), texts, replace=False)
    which[new] = 60
    scores = emergence.emergence(nearest_texts(said(chance, middles(chance, 61), which)))
    order = np.argsort(-scores)
    assert set(order[:texts]) == set(new)
    assert scores[new].min() > 4


def test_the_places_in_time_may_be_given() -> None:
    chance = np.random.default_rng(6)
    which = chance.integers(0, 60, 1200)
    which[1190:] = 60
    vectors = said(chance, middles(chance, 61), which)
    places = chance.permutation(1200)
    given = emergence.emergence(nearest_texts(vectors[places]), places)
    assert np.allclose(given, emergence.emergence(nearest_texts(vectors))[places])


def test_where_nothing_is_new_chance_explains_all() -> None:
    chance = np.random.default_rng(7)
    topics = middles(chance, 61)
    which = chance.integers(0, 60, 2000)

    def least(of: np.ndarray) -> tuple[np.ndarray, float]:
        nearest = nearest_texts(said(chance, topics, of))
        by_chance = [emergence.emergence(nearest, chance.permutation(2000)) for _ in range(4)]
        scores = emergence.emergence(nearest)
        return scores, emergence.false_share(scores, np.stack(by_chance), 0.4)

    scores, bound = least(which)
    assert (scores >= bound).sum() <= 5
    which[chance.choice(np.arange(1500, 2000), 40, replace=False)] = 60
    scores, bound = least(which)
    assert (scores[which == 60] >= bound).mean() > 0.9
    assert (scores[which != 60] >= bound).sum() < 40
    assert emergence.false_share(np.zeros(5), np.zeros((2, 5)), 0.4) == float("inf")


def test_a_topic_that_stops_is_not_new() -> None:
    chance = np.random.default_rng(4)
    which = chance.integers(0, 60, 2000)
    old = chance.choice(np.arange(1000), 30, replace=False)
    which[old] = 60
    scores = emergence.emergence(nearest_texts(said(chance, middles(chance, 61), which)))
    assert (scores[old] == 0).all()
