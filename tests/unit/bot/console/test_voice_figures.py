"""Numbers alone: comparison, buckets, detection; and a short run of the watch's benchmark."""

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from actions.turn import UPSET as UPSET_OF_ACTIONS
from bot.bench.watch import power, steady, trials
from bot.bench.watch_traffic import Traffic, make
from bot.console.voice import detect
from bot.console.voice.compare import (
    change_of_count,
    change_of_mean,
    change_of_share,
    false_discoveries,
    share_p,
)
from bot.console.voice.shown import duration
from bot.log.voice_alerts import WINDOWS
from bot.log.voice_figures import Figures
from bot.log.voice_labels import UPSET, bucket_ms, bucket_of, language_of


def test_the_watch_calls_upset_what_the_bot_calls_upset() -> None:
    assert UPSET == UPSET_OF_ACTIONS


@given(st.floats(10, 8e8))
def test_a_time_and_its_bucket_differ_by_nine_percent_at_most(ms: float) -> None:
    assert abs(bucket_ms(bucket_of(ms)) / ms - 1) < 0.1


@given(st.lists(st.floats(10, 8e8), min_size=1, max_size=50), st.sampled_from([0.5, 0.9]))
def test_percentiles_are_nearly_those_of_the_times(times: list[float], share: float) -> None:
    figures = Figures()
    figures.spread["first_answer"].update(Counter(str(bucket_of(ms)) for ms in times))
    found = figures.percentile_ms("first_answer", share)
    ordered = sorted(times)
    exact = ordered[max(0, int(np.ceil(share * len(times))) - 1)]
    assert found is not None
    assert abs(found / exact - 1) < 0.1


@pytest.mark.parametrize(
    ("locale", "language"),
    [("en-GB", "en"), ("zh_CN", "zh"), ("DE", "de"), (None, ""), ("", "")],
)
def test_the_language_of_a_locale(locale: str | None, language: str) -> None:
    assert language_of(locale) == language


def test_shares_are_compared_as_the_textbook_does() -> None:
    # 60 of 200 against 40 of 200: z = 2.309, p = 0.0209.
    assert share_p((60, 200), (40, 200)) == pytest.approx(0.0209, abs=1e-4)
    change = change_of_share((60, 200), (40, 200))
    assert change is not None
    assert (change.hint, change.direction, round(change.delta, 3)) == ("clear", "up", 0.1)
    fewer = change_of_share((6, 20), (4, 20))
    assert fewer is not None
    assert fewer.hint == "few"
    equal = change_of_share((50, 100), (50, 100))
    assert equal is not None
    assert (equal.hint, equal.direction) == ("chance", "same")
    assert change_of_share((1, 2), (0, 0)) is None


def test_means_are_compared_by_their_scatter() -> None:
    good, bad = Counter({"5": 40, "4": 10}), Counter({"5": 20, "1": 30})
    change = change_of_mean(bad, good)
    assert change is not None
    assert (change.hint, change.direction) == ("clear", "down")
    assert change.delta == pytest.approx(2.6 - 4.8)
    assert change_of_mean(bad, Counter()) is None
    assert change_of_count(5, 0) is None


def test_false_discoveries_are_held_down() -> None:
    # Simes' line at 5 %: 0.01, 0.02, 0.03, 0.04, 0.05.
    found = false_discoveries({"a": 0.009, "b": 0.019, "c": 0.035, "d": 0.2, "e": 0.9})
    assert found == {"a", "b"}
    assert false_discoveries({}) == set()


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (40, "40 ms"),
        (1500, "1.5 s"),
        (200_000, "3 min 20 s"),
        (7_260_000, "2 h 1 min"),
        (3 * 86_400_000, "3.0 d"),
    ],
)
def test_times_are_shown_in_fitting_units(ms: float, text: str) -> None:
    assert duration(ms) == text


def windows(cases: float, upset: float, now: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    n, x = np.full((1, WINDOWS), float(cases)), np.full((1, WINDOWS), float(upset))
    n[0, 0], x[0, 0] = now
    return n, x


@pytest.mark.parametrize(
    ("now", "raised"),
    [
        ((200.0, 100.0), True),
        ((200.0, 42.0), False),
        # Significant, but a rise that nobody would mind.
        ((20_000.0, 4_600.0), False),
        # All of them, but too few to go by.
        ((12.0, 12.0), False),
    ],
)
def test_a_rise_is_raised_when_it_is_large_and_sure(now: tuple[float, float], raised: bool) -> None:
    found = detect.look(*windows(200, 40, now), false_alarms=0.25)
    assert bool(found.raised[0]) is raised
    assert found.expected[0] == pytest.approx(0.2)


def test_nothing_is_raised_without_three_weeks_of_the_same_day() -> None:
    cases, upset = windows(200, 40, (200.0, 160.0))
    cases[0, 15:], upset[0, 15:] = 0, 0
    assert not detect.look(cases, upset, false_alarms=0.25).raised[0]
    empty = np.zeros((3, WINDOWS))
    assert not detect.look(empty, empty, false_alarms=0.25).raised.any()


def test_the_tail_is_that_of_a_beta_binomial() -> None:
    from scipy.stats import betabinom

    for n, least, share, rho in ((40, 20, 0.2, 0.01), (200, 90, 0.3, 0.004), (25, 25, 0.5, 0.1)):
        alpha, beta = share * (1 - rho) / rho, (1 - share) * (1 - rho) / rho
        exact = betabinom.sf(least - 1, n, alpha, beta)
        assert detect._tail(n, least, share, rho) == pytest.approx(exact, rel=1e-6)


def test_scatter_beyond_chance_makes_the_watch_slower() -> None:
    draw = np.random.default_rng(3)
    n = np.full((3, WINDOWS), 300.0)
    wild = draw.binomial(300, np.clip(draw.normal(0.2, 0.08, WINDOWS), 0, 1))
    x = np.stack([*(draw.binomial(300, 0.2, WINDOWS) for _ in range(2)), wild]).astype(float)
    x[:, 0] = 95
    found = detect.look(n, x, false_alarms=0.25)
    assert found.p_values[:2].max() < found.p_values[2] / 100


def test_a_quarter_of_steady_traffic_rings_once_at_most() -> None:
    found = steady(months=3, seed=11, false_alarms=0.25, traffic=Traffic())
    assert found.series_months == 138
    assert found.alarms <= 1


def test_a_doubling_in_a_busy_topic_is_found_within_the_day() -> None:
    traffic = Traffic(topics=6, cases_a_day=1800)
    found = trials(runs=4, seed=2, false_alarms=0.25, traffic=traffic)
    assert power(found) >= 0.9


def test_made_up_traffic_has_its_seasons() -> None:
    made = make(Traffic(topics=4, cases_a_day=4000, days=28), np.random.default_rng(1))
    by_hour = made.cases.sum(axis=0).reshape(-1, 24).sum(axis=0)
    assert by_hour[14] > 3 * by_hour[2]
    by_day = made.cases.sum(axis=0).reshape(-1, 24).sum(axis=1)
    assert by_day[:5].mean() > 1.4 * by_day[5:7].mean()
