"""The platforms' rate limits: how long who waits, in which order, in how much memory."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from bot.channels import rates
from bot.channels.rates import Bucket
from bot.world import World


@dataclass
class Time:
    """A clock that goes on while somebody sleeps, and only then."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(round(delay_s, 6))
        await asyncio.sleep(0)
        self.now += timedelta(seconds=delay_s)

    @property
    def world(self) -> World:
        return World(now=lambda: self.now, sleep=self.sleep)


@pytest.fixture
def time() -> Time:
    return Time()


async def test_a_burst_goes_at_once_and_then_one_by_one(time: Time) -> None:
    bucket = Bucket(2, 3, time.world)
    for _ in range(5):
        await bucket.take("chat")
    assert time.slept == [0.5, 0.5]


async def test_without_a_burst_each_waits_for_the_one_before(time: Time) -> None:
    bucket = Bucket(1, 1, time.world)
    for _ in range(3):
        await bucket.take("chat")
    assert time.slept == [1, 1]


async def test_what_is_not_used_is_saved_up_to_the_burst(time: Time) -> None:
    bucket = Bucket(1, 2, time.world)
    for _ in range(2):
        await bucket.take("chat")
    time.now += timedelta(hours=1)
    for _ in range(3):
        await bucket.take("chat")
    assert time.slept == [1]


async def test_keys_do_not_wait_for_each_other(time: Time) -> None:
    bucket = Bucket(1, 1, time.world)
    for key in "abc":
        await bucket.take(key)
    assert time.slept == []


async def test_first_come_first_served(time: Time) -> None:
    bucket = Bucket(1, 1, time.world)
    order: list[int] = []

    async def take(number: int) -> None:
        await bucket.take("chat")
        order.append(number)

    await asyncio.gather(*(take(number) for number in range(20)))
    assert order == list(range(20))
    assert time.slept == [1] * 19


async def test_who_gives_up_has_taken_nothing(time: Time) -> None:
    bucket = Bucket(1, 1, time.world)
    await bucket.take("chat")
    waiting = [asyncio.create_task(bucket.take("chat")) for _ in range(5)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    time.now += timedelta(seconds=1)
    time.slept.clear()
    await bucket.take("chat")
    assert time.slept == []


async def test_a_clock_set_back_stops_nobody(time: Time) -> None:
    bucket = Bucket(1, 1, time.world)
    await bucket.take("chat")
    time.now -= timedelta(hours=1)
    await bucket.take("chat")
    assert time.slept == [1]


async def test_memory_is_bounded_by_who_was_there_lately(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "_MAX_KEYS", 100)
    bucket = Bucket(10, 1, time.world)
    for number in range(1000):
        await bucket.take(str(number))
        time.now += timedelta(seconds=0.02)
    assert len(bucket._lanes) <= 100
    # Who still has to wait is not forgotten.
    await bucket.take("999")
    assert time.slept
