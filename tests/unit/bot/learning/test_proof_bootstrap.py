"""Bootstrap intervals, against all the samples that could be drawn, and against plain drawing."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.learning.proof import bootstrap
from bot.learning.proof.bootstrap import Ints, Resampling
from nlu import metrics

MANY = Resampling(draws=20_000, seed=3)


def f1_of(truth: Ints, guess: Ints) -> float:
    """The mean over the labels of the truth, by counting."""
    scores = []
    for label in sorted(set(truth.tolist())):
        right = sum(t == g == label for t, g in zip(truth, guess, strict=True))
        both = sum(t == label for t in truth) + sum(g == label for g in guess)
        scores.append(2 * right / both)
    return sum(scores) / len(scores)


def share_of(truth: Ints, guess: Ints) -> float:
    return float((truth == guess).mean())


LABELS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-1, 2), st.integers(-1, 2)), min_size=2, max_size=4
)


@settings(deadline=None, max_examples=25)
@given(texts=LABELS)
def test_draws_fall_as_all_possible_samples_do(texts: list[tuple[int, int, int]]) -> None:
    truth, champion, challenger = np.array(texts, dtype=np.int64).T
    samples = list(itertools.product(range(len(texts)), repeat=len(texts)))
    kinds: list[tuple[Callable[[Ints, Ints], float], Callable[..., bootstrap.Difference]]] = [
        (share_of, bootstrap.accuracy),
        (f1_of, bootstrap.macro_f1),
    ]
    for value, interval in kinds:
        found = interval(truth, champion, challenger, MANY)
        assert found.champion == pytest.approx(value(truth, champion))
        assert found.challenger == pytest.approx(value(truth, challenger))
        gaps = np.array(
            [
                value(truth[list(rows)], challenger[list(rows)])
                - value(truth[list(rows)], champion[list(rows)])
                for rows in samples
            ]
        )
        assert found.no_gain == pytest.approx((gaps <= 1e-12).mean(), abs=0.02)
        assert found.no_loss == pytest.approx((gaps >= -1e-12).mean(), abs=0.02)
        assert gaps.min() - 1e-9 <= found.low <= found.high <= gaps.max() + 1e-9


def test_the_interval_is_that_of_drawing_texts_one_by_one() -> None:
    draw = np.random.default_rng(8)
    n = 100
    truth = draw.integers(0, 6, n)
    champion = np.where(draw.random(n) < 0.8, truth, draw.integers(0, 6, n))
    challenger = np.where(draw.random(n) < 0.85, truth, draw.integers(0, 6, n))
    gaps = []
    for _ in range(600):
        rows = draw.integers(0, n, n)
        gaps.append(f1_of(truth[rows], challenger[rows]) - f1_of(truth[rows], champion[rows]))
    low, high = np.quantile(gaps, [0.025, 0.975])
    found = bootstrap.macro_f1(truth, champion, challenger, Resampling(draws=4000, seed=1))
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)


def test_macro_f1_is_the_trainers_where_no_guess_is_beyond_the_truth() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2])
    guess = np.array([0, 1, 1, 1, 2, 0])
    names = ["a", "b", "c"]
    found = bootstrap.macro_f1(truth, guess, truth, MANY)
    expected = metrics.macro_f1([names[i] for i in truth], [names[i] for i in guess])
    assert found.champion == pytest.approx(expected)
    assert found.challenger == 1.0


def test_the_same_seed_draws_the_same() -> None:
    truth = np.arange(50) % 5
    guess = np.where(np.arange(50) % 7 == 0, 0, truth)
    how = Resampling(draws=500, seed=11)
    first = bootstrap.macro_f1(truth, guess, truth, how)
    assert first == bootstrap.macro_f1(truth, guess, truth, how)
    assert first != bootstrap.macro_f1(truth, guess, truth, Resampling(draws=500, seed=12))


def test_entities_are_counted_over_all_texts() -> None:
    # Right, found, annotated.
    champion = np.array([[1, 1, 1], [0, 1, 1], [2, 2, 2], [0, 0, 0]] * 25)
    challenger = np.array([[1, 1, 1], [1, 1, 1], [2, 2, 2], [0, 0, 0]] * 25)
    found = bootstrap.span_f1(champion, challenger, Resampling(draws=1000, seed=2))
    assert found.champion == pytest.approx(0.75)
    assert found.challenger == 1.0
    assert 0.1 < found.low < found.high < 0.4
    assert found.no_gain == 0.0


def test_without_any_entity_the_score_is_zero_and_nothing_breaks() -> None:
    nothing = np.zeros((10, 3), dtype=np.int64)
    found = bootstrap.span_f1(nothing, nothing, Resampling(draws=100, seed=2))
    assert (found.champion, found.low, found.high) == (0.0, 0.0, 0.0)
