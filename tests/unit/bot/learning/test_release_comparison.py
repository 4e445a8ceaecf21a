"""An A/B of two versions: intervals, tests, correction and the words for them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.learning.release.comparison import compare, share_difference
from bot.learning.release.sides import Mean, Side, Sides


def side(
    n: int, *, ratings: tuple[int, ...] = (), ms: tuple[float, ...] = (), **events: int
) -> Side:
    """A side with so many conversations, so many of them with each event."""
    made = Side(conversations=n, rated=len(ratings))
    made.events.update(events)
    for stars in ratings:
        made.rating.add(stars)
    for spent in ms:
        made.understanding_ms.add(spent)
    return made


def test_a_large_difference_is_told_with_its_direction() -> None:
    found = compare("v1", "v2", Sides(active=side(500, fallback=100), trial=side(500, fallback=40)))
    fallback = next(one for one in found.figures if one.metric == "fallback")
    assert (fallback.a, fallback.b, fallback.better) == (0.2, 0.08, "b")
    assert fallback.low < -0.12 < fallback.high < 0
    assert fallback.p < 1e-6
    assert found.conclusion == (
        "v2 is better in conversations with a message that was not understood"
    )


def test_more_stars_are_better_and_more_milliseconds_are_not() -> None:
    active = side(80, ratings=(2, 3, 2, 3) * 10, ms=(5.0, 6.0) * 40)
    trial = side(80, ratings=(4, 5, 4, 5) * 10, ms=(9.0, 10.0) * 40)
    found = {one.metric: one for one in compare("v1", "v2", Sides(active, trial)).figures}
    assert (found["rating"].better, found["rating"].difference) == ("b", 2.0)
    assert (found["understanding_ms"].better, found["understanding_ms"].difference) == ("a", 4.0)


def test_no_difference_is_none() -> None:
    found = compare("v1", "v2", Sides(active=side(500, fallback=50), trial=side(500, fallback=52)))
    assert found.conclusion == "no difference between v1 and v2 is proven"
    assert all(one.better is None for one in found.figures)


def test_no_conversations_are_no_figures() -> None:
    found = compare("v1", "v2", Sides(active=side(10), trial=side(0)))
    assert (found.figures, found.conclusion) == (
        (),
        "there are no conversations on both sides yet",
    )


def test_ratings_are_shared_among_who_rated() -> None:
    active, trial = side(900, ratings=(5,) * 20, bad_rating=2), side(100, ratings=(5,) * 10)
    found = {one.metric: one for one in compare("v1", "v2", Sides(active, trial)).figures}
    assert (found["bad_rating"].n_a, found["bad_rating"].a) == (20, 0.1)


def test_one_of_many_figures_needs_more() -> None:
    """p = 0.03 alone would do; among six it does not."""
    found = compare("v1", "v2", Sides(active=side(400, upset=80), trial=side(400, upset=56)))
    upset = next(one for one in found.figures if one.metric == "upset")
    assert upset.p < 0.05 < upset.corrected_p
    assert upset.better is None


def test_equal_versions_are_rarely_called_different() -> None:
    random = np.random.default_rng(3)
    called = 0
    for _ in range(150):
        drawn = [
            {
                name: int(random.binomial(300, share))
                for name, share in (
                    ("fallback", 0.15),
                    ("handoff", 0.05),
                    ("upset", 0.2),
                    ("slow", 0.05),
                )
            }
            for _ in range(2)
        ]
        found = compare("a", "b", Sides(active=side(300, **drawn[0]), trial=side(300, **drawn[1])))
        called += any(one.better for one in found.figures)
    assert called <= 15  # 5 % would be 7 or 8


def test_the_interval_covers_the_true_difference() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        x_a, x_b = int(random.binomial(120, 0.1)), int(random.binomial(60, 0.25))
        _, low, high = share_difference(x_a, 120, x_b, 60)
        covered += low <= 0.15 <= high
    assert covered / 400 == pytest.approx(0.95, abs=0.035)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_interval_holds_the_difference_and_stays_in_range(x_a: int, x_b: int) -> None:
    difference, low, high = share_difference(x_a, 40, x_b, 40)
    assert -1 <= low <= difference <= high <= 1


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=30))
def test_mean_and_deviation_are_those_of_the_values(values: list[float]) -> None:
    mean = Mean()
    for value in values:
        mean.add(value)
    assert mean.mean == pytest.approx(np.mean(values))
    assert mean.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-2, rel=1e-4)
