"""When the loop runs: periods are read, missed runs caught up once, failures tried again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.learning.errors import BadPeriod
from bot.learning.schedule import AGAIN_AFTER, may_run_early, next_run, read_period

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
WEEK = timedelta(weeks=1)


def run(state: str, days_ago: float) -> dict[str, Any]:
    at = NOW - timedelta(days=days_ago)
    ended = None if state == "running" else at + timedelta(hours=1)
    return {"state": state, "created_at": at, "finished_at": ended}


@pytest.mark.parametrize(
    ("said", "hours"),
    [("7d", 168), ("12h", 12), ("2w", 336), (" 1D ", 24), ("1.5d", 36), ("1 h", 1)],
)
def test_a_period_is_a_number_and_a_unit(said: str, hours: float) -> None:
    assert read_period(said) == timedelta(hours=hours)


@pytest.mark.parametrize("said", ["off", "OFF", " off "])
def test_off_is_no_period(said: str) -> None:
    assert read_period(said) is None


@pytest.mark.parametrize(
    "said", ["", "7", "d", "7 days", "-7d", "0d", "0.5h", "1e3d", "7d12h", "inf d", "99999w", "٧d"]
)
def test_another_period_is_one_line_that_names_the_setting(said: str) -> None:
    with pytest.raises(BadPeriod) as told:
        read_period(said)
    assert "KEFU_LEARN_EVERY" in str(told.value)
    assert "\n" not in str(told.value)


@given(st.text(max_size=12))
def test_any_text_is_a_period_or_refused(said: str) -> None:
    try:
        period = read_period(said)
    except BadPeriod:
        return
    assert period is None or timedelta(hours=1) <= period <= timedelta(weeks=520)


@given(st.integers(1, 99_999), st.sampled_from("hdw"))
def test_what_is_read_is_what_was_said(number: int, unit: str) -> None:
    hours = {"h": 1, "d": 24, "w": 168}[unit] * number
    if hours <= 520 * 168:
        assert read_period(f"{number}{unit}") == timedelta(hours=hours)


def test_the_next_run_is_a_period_after_the_begin_of_the_last() -> None:
    due = next_run([run("succeeded", 2)], WEEK, NOW, first_turn=None)
    assert due == NOW + timedelta(days=5)


def test_missed_runs_are_caught_up_once() -> None:
    assert next_run([run("succeeded", 40)], WEEK, NOW, first_turn=None) == NOW
    caught_up = [run("succeeded", 0), run("succeeded", 40)]
    assert next_run(caught_up, WEEK, NOW, first_turn=None) == NOW + WEEK


def test_the_first_run_is_a_period_after_the_first_turn() -> None:
    assert next_run([], WEEK, NOW, first_turn=None) == NOW + WEEK
    first = NOW - timedelta(days=3)
    assert next_run([], WEEK, NOW, first_turn=first) == NOW + timedelta(days=4)
    assert next_run([], WEEK, NOW, first_turn=NOW - timedelta(days=90)) == NOW


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_run_without_a_result_is_tried_again_sooner(state: str) -> None:
    runs = [run(state, 0), run("succeeded", 7)]
    assert next_run(runs, WEEK, NOW, first_turn=None) == NOW + timedelta(hours=1) + AGAIN_AFTER
    # Not sooner than the period, where that is short.
    soon = next_run(runs, timedelta(hours=2), NOW, first_turn=None)
    assert soon == NOW + timedelta(hours=3)
    # Nor before the run would have been due anyway.
    fresh = [run(state, 0), run("succeeded", 1)]
    assert next_run(fresh, WEEK, NOW, first_turn=None) == NOW + timedelta(days=6)


@given(
    st.lists(st.tuples(st.sampled_from(["succeeded", "failed"]), st.floats(0, 100)), max_size=6),
    st.floats(0.05, 60),
)
def test_the_next_run_is_never_in_the_past(found: list[tuple[str, float]], days: float) -> None:
    runs = [run(state, ago) for state, ago in sorted(found, key=lambda one: one[1])]
    due = next_run(runs, timedelta(days=days), NOW, first_turn=None)
    assert NOW <= due <= NOW + timedelta(days=days) + AGAIN_AFTER + timedelta(hours=1)


def test_drift_calls_for_one_run_a_day() -> None:
    assert may_run_early(None, NOW)
    assert not may_run_early(NOW - timedelta(hours=23), NOW)
    assert may_run_early(NOW - timedelta(hours=24), NOW)
