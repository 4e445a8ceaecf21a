"""The tests and intervals of the proof, against counting everything there is to count."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from bot.learning.proof.statistics import (
    areas,
    calibration_error,
    mcnemar,
    not_worse,
    reliability,
    wilson,
)
from nlu.calibration import expected_calibration_error

COUNTS = st.integers(0, 6)


def all_splits(total: int) -> list[int]:
    """How many texts the challenger wins in each of the equally likely outcomes."""
    return [sum(signs) for signs in itertools.product((0, 1), repeat=total)]


@given(gained=COUNTS, lost=COUNTS)
def test_mcnemar_counts_the_outcomes_that_are_at_least_as_uneven(gained: int, lost: int) -> None:
    splits = all_splits(gained + lost)
    more = sum(won >= gained for won in splits) / len(splits)
    same = sum(won == gained for won in splits) / len(splits)
    far = sum(max(won, gained + lost - won) >= max(gained, lost) for won in splits) / len(splits)
    if gained + lost == 0:
        more, same, far = 1.0, 0.0, 1.0
    assert mcnemar(gained, lost, better="challenger") == pytest.approx(more)
    assert mcnemar(gained, lost, better="challenger", mid=True) == pytest.approx(more - same / 2)
    assert mcnemar(gained, lost, better="either") == pytest.approx(far)
    assert mcnemar(lost, gained, better="champion") == pytest.approx(more)
    halved = far if gained == lost else far - same
    assert mcnemar(gained, lost, better="either", mid=True) == pytest.approx(halved)


@given(gained=st.integers(0, 400), lost=st.integers(0, 400))
def test_p_values_are_probabilities_and_the_sides_are_alike(gained: int, lost: int) -> None:
    for mid in (False, True):
        for better in ("challenger", "champion", "either"):
            assert 0 <= mcnemar(gained, lost, better=better, mid=mid) <= 1  # type: ignore[arg-type]
        assert mcnemar(gained, lost, better="either", mid=mid) == pytest.approx(
            mcnemar(lost, gained, better="either", mid=mid)
        )


def test_the_exact_test_keeps_its_level_and_the_mid_p_nearly_does() -> None:
    for total in range(1, 60):
        chance = np.array([math.comb(total, won) for won in range(total + 1)]) / 2.0**total
        for mid, most in ((False, 0.05), (True, 0.08)):
            passes = [
                mcnemar(won, total - won, better="challenger", mid=mid) <= 0.05
                for won in range(total + 1)
            ]
            assert chance[passes].sum() <= most + 1e-12


def test_counts_below_zero_are_an_error() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 2, better="challenger")


def likeliest_share(gained: int, lost: int, n: int, margin: float) -> float:
    """The share of lost texts that makes the data most likely, by search."""

    def unlikely(share: float) -> float:
        parts = [
            (gained, share - margin),
            (lost, share),
            (n - gained - lost, 1 - 2 * share + margin),
        ]
        return -sum(count * math.log(max(p, 1e-300)) for count, p in parts if count)

    found = minimize_scalar(
        unlikely, bounds=(margin, (1 + margin) / 2), method="bounded", options={"xatol": 1e-12}
    )
    return float(found.x)


@settings(deadline=None)
@given(
    gained=st.integers(0, 40),
    lost=st.integers(1, 40),
    same=st.integers(1, 400),
    margin=st.floats(0.005, 0.2),
)
def test_tangos_score_is_that_of_the_likeliest_share(
    gained: int, lost: int, same: int, margin: float
) -> None:
    n = gained + lost + same
    share = likeliest_share(gained, lost, n, margin)
    spread = n * (2 * share - margin - margin**2)
    expected = norm.sf((gained - lost + n * margin) / math.sqrt(spread))
    assert not_worse(gained, lost, n=n, margin=margin) == pytest.approx(expected, abs=2e-3)


def test_a_wider_margin_is_easier_to_keep_and_more_losses_harder() -> None:
    assert not_worse(5, 8, n=400, margin=0.03) < not_worse(5, 8, n=400, margin=0.01)
    assert not_worse(5, 9, n=400, margin=0.02) > not_worse(5, 8, n=400, margin=0.02)
    assert not_worse(0, 0, n=0, margin=0.02) == 1.0
    with pytest.raises(ValueError, match="margin"):
        not_worse(1, 1, n=10, margin=0.0)


def test_a_loss_at_the_margin_is_seldom_ruled_out() -> None:
    draw = np.random.default_rng(5)
    drawn = draw.multinomial(400, [0.02, 0.04, 0.94], size=4000)
    ruled_out = [not_worse(int(g), int(lost), n=400, margin=0.02) <= 0.05 for g, lost, _ in drawn]
    assert 0.03 <= np.mean(ruled_out) <= 0.06


@given(right=st.integers(0, 200), more=st.integers(0, 200))
def test_wilsons_bounds_are_the_shares_that_the_data_just_allow(right: int, more: int) -> None:
    n = right + more
    low, high = wilson(right, n)
    assert 0 <= low <= high <= 1
    if n == 0:
        return
    share, z = right / n, norm.ppf(0.975)
    for bound in (low, high):
        if 0 < bound < 1:
            allowed = z * math.sqrt(bound * (1 - bound) / n)
            assert abs(share - bound) == pytest.approx(allowed, abs=1e-9)
    assert low <= share <= high


def area_of(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Of each pair whether the positive is above; a tie is half."""
    found: np.ndarray = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return found


@given(seed=st.integers(0, 2**32 - 1), m=st.integers(2, 12), n=st.integers(2, 12))
def test_areas_and_their_spread_are_those_of_all_pairs(seed: int, m: int, n: int) -> None:
    draw = np.random.default_rng(seed)
    # Few values, so that there are ties.
    sides = [
        (draw.integers(0, 5, m).astype(float), draw.integers(0, 5, n).astype(float))
        for _ in range(2)
    ]
    found = areas(*sides)
    assert found is not None
    tables = [area_of(*side) for side in sides]
    assert found.champion == pytest.approx(tables[0].mean())
    assert found.challenger == pytest.approx(tables[1].mean())
    gap = tables[0] - tables[1]
    variance = gap.mean(axis=1).var(ddof=1) / m + gap.mean(axis=0).var(ddof=1) / n
    assert found.error == pytest.approx(math.sqrt(variance), abs=1e-9)


def test_a_curve_that_falls_is_found_and_one_that_stays_is_not() -> None:
    draw = np.random.default_rng(2)
    positive, negative = draw.normal(1.5, 1, 200), draw.normal(0, 1, 400)
    same = areas((positive, negative), (positive, negative))
    worse = areas((positive, negative), (positive - 1, negative))
    assert same is not None
    assert worse is not None
    assert same.worse_p == 1.0
    assert worse.worse_p < 0.001
    assert areas((positive[:1], negative), (positive[:1], negative)) is None


@given(st.lists(st.tuples(st.floats(0.375, 1, width=32), st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_is_the_one_that_trainings_report(
    texts: list[tuple[float, bool]],
) -> None:
    confidence = np.array([sure for sure, _ in texts], dtype=np.float32)
    right = np.array([is_right for _, is_right in texts])
    # The best of three intents has that confidence; the others share the rest.
    rest = (1 - confidence) / 2
    probabilities = np.stack([confidence, rest, rest], axis=1)
    labels = np.where(right, 0, 1)
    found = calibration_error(reliability(confidence, right))
    assert found == pytest.approx(expected_calibration_error(probabilities, labels), abs=1e-5)


def test_no_texts_have_no_calibration_error() -> None:
    assert calibration_error(reliability(np.zeros(0), np.zeros(0, dtype=bool))) == 0.0
