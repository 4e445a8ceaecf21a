"""Buckets empty and refill by the clock, and know only so many keys."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import RequestError
from bot.http.rate_limits import Buckets, RateLimits, Rates


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_bucket_gives_a_minutes_worth_then_refills_evenly() -> None:
    clock = Clock()
    buckets = Buckets(30, clock=clock)
    assert [buckets.take("a") for _ in range(30)] == [0.0] * 30
    assert buckets.take("a") == pytest.approx(2.0)
    assert buckets.take("b") == 0.0
    clock.now_s = 1.9
    assert buckets.take("a") == pytest.approx(0.1)
    clock.now_s = 2.0
    assert buckets.take("a") == 0.0
    clock.now_s = 1000.0
    assert [buckets.take("a") for _ in range(31)].count(0.0) == 30


def test_what_is_given_back_was_never_taken_and_no_bucket_overflows() -> None:
    buckets = Buckets(2, clock=Clock())
    for _ in range(5):
        assert buckets.take("a") == 0.0
        buckets.give_back("a")
    buckets.give_back("a")
    buckets.give_back("unknown")
    assert [buckets.take("a") for _ in range(3)].count(0.0) == 2
    assert len(buckets) == 1


def test_memory_is_bounded_and_the_busy_stay_known() -> None:
    buckets = Buckets(2, clock=Clock(), most_keys=100)
    for number in range(10_000):
        buckets.take("busy")
        buckets.take(f"other {number}")
    assert len(buckets) == 100
    assert buckets.take("busy") > 0


@given(
    per_min=st.integers(1, 100),
    steps=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200),
)
def test_never_more_than_the_bucket_and_what_flowed_in(per_min: int, steps: list[float]) -> None:
    clock = Clock()
    buckets = Buckets(per_min, clock=clock)
    taken = 0
    for step_s in steps:
        clock.now_s += step_s
        wait_s = buckets.take("a")
        taken += wait_s == 0
        assert 0 <= wait_s <= 60 / per_min
    assert taken <= per_min * (1 + clock.now_s / 60) + 1e-6


@pytest.mark.parametrize(
    "ask",
    [
        lambda limits: limits.request("203.0.113.5"),
        lambda limits: limits.opening("203.0.113.5"),
        lambda limits: limits.upload("203.0.113.5"),
        lambda limits: limits.refusal("203.0.113.5"),
        lambda limits: limits.customer("telegram", "7"),
        lambda limits: limits.message("telegram"),
    ],
)
def test_beyond_a_limit_is_429_with_the_seconds_to_wait(
    ask: Callable[[RateLimits], None],
) -> None:
    clock = Clock()
    rates = Rates(api=10, open=10, upload=10, customer=10, channel=10, refused=10)
    limits = RateLimits(rates, clock=clock)
    for _ in range(10):
        ask(limits)
    with pytest.raises(RequestError) as refused:
        ask(limits)
    assert (refused.value.status, refused.value.retry_after_s) == (429, 6)
    clock.now_s += 6
    ask(limits)
