"""The loop's process: runs on time, catches up, takes up what was killed, and says it is up."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from bot.errors import StorageError
from bot.learning import service as service_module
from bot.learning.errors import RunGoesOn, StepFailed
from bot.learning.service import LearningService, ServiceParts, health_app, look_for_drift
from bot.log import harvested, learning_runs
from bot.settings import Settings
from bot.world import World, utc_now

WEEK = timedelta(weeks=1)


class Log:
    """What the database knows of runs."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.checks: list[dict[str, Any]] = []
        self.last_drift: datetime | None = None
        self.gone: StorageError | None = None

    async def browse(self, query: Callable[..., Any]) -> Any:
        asked = query.func if isinstance(query, partial) else query
        answers: dict[Any, Any] = {
            learning_runs.latest_made: self.runs,
            learning_runs.drift_checks: self.checks,
            learning_runs.last_of_drift: self.last_drift,
            harvested.first_turn: None,
        }
        return answers[asked]

    async def check(self) -> None:
        if self.gone:
            raise self.gone


class Loop:
    """Runs that end when they are let."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.begun: list[str] = []
        self.driven: list[str] = []
        self.left: str | None = None
        self.waiting: dict[str, Any] | None = None
        self.refuses = False
        self.go = asyncio.Event()
        self.cancelled = False
        self.changed = asyncio.Event()

    async def tidy(self) -> None: ...

    async def take_up(self) -> str | None:
        left, self.left = self.left, None
        return left

    async def answered(self) -> dict[str, Any] | None:
        return self.waiting

    async def begin(self, *, actor: str, why: str, again: dict[str, Any] | None = None) -> str:
        self.begun.append(why)
        self.again = again
        self.changed.set()
        if self.refuses:
            raise RunGoesOn("r0", "here")
        return f"r{len(self.begun)}"

    async def drive(self, run_id: str) -> None:
        self.driven.append(run_id)
        self.changed.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        now = utc_now()
        self.log.runs.insert(0, {"state": "succeeded", "created_at": now, "finished_at": now})

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.01)


class Trials:
    looks = 0

    async def look(self) -> None:
        self.looks += 1
        if self.looks == 1:
            raise StorageError("busy")


class Kept:
    """A service with its fakes."""

    def __init__(self, service: LearningService, loop: Loop, log: Log, trials: Trials) -> None:
        self.service = service
        self.loop = loop
        self.log = log
        self.trials = trials


Open = Callable[..., Awaitable[Kept]]


@pytest.fixture
async def keep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Open]:
    """Starts a service whose jobs come quickly."""
    for name in ("SOON_S", "TEND_S", "LOOK_S", "ANSWERS_S"):
        monkeypatch.setattr(service_module, name, 0.03)
    monkeypatch.setattr(service_module, "JITTER_S", 0)
    async with AsyncExitStack() as stack:

        async def start(
            log: Log | None = None,
            *,
            period: timedelta | None = WEEK,
            drift: Callable[[], Awaitable[bool]] | None = None,
            left: str | None = None,
            **settings: Any,
        ) -> Kept:
            async def none() -> bool:
                return False

            log, trials = log or Log(), Trials()
            loop = Loop(log)
            loop.left = left
            parts = ServiceParts(
                journal=log,  # type: ignore[arg-type]
                settings=Settings(_env_file=None, state_dir=tmp_path, **settings),
                world=World(),
                loop=loop,  # type: ignore[arg-type]
                trials=trials,
                drift=drift or none,
            )
            service = LearningService(parts, period)
            await service.start()
            stack.push_async_callback(service.close)
            return Kept(service, loop, log, trials)

        yield start


def ran(days_ago: float) -> dict[str, Any]:
    at = utc_now() - timedelta(days=days_ago)
    return {"state": "succeeded", "created_at": at, "finished_at": at}


async def test_a_missed_run_is_caught_up_once(keep: Open) -> None:
    log = Log()
    log.runs = [ran(30)]
    kept = await keep(log)
    await kept.loop.until(lambda: kept.loop.driven == ["r1"])
    kept.loop.go.set()
    await kept.loop.until(lambda: len(log.runs) == 2)

    def is_planned() -> bool:
        next_at = kept.service.next_at()
        return next_at is not None and next_at > utc_now() + timedelta(days=6.9)

    await kept.loop.until(is_planned)
    assert kept.loop.begun == ["period"]


async def test_a_run_that_is_not_due_waits(keep: Open) -> None:
    log = Log()
    log.runs = [ran(2)]
    kept = await keep(log)
    await kept.loop.until(lambda: kept.service.next_at() is not None)
    next_at = kept.service.next_at()
    assert next_at is not None
    assert abs(next_at - (log.runs[0]["created_at"] + WEEK)) < timedelta(seconds=5)
    await kept.loop.until(lambda: kept.trials.looks >= 2)
    assert kept.loop.begun == []


async def test_who_ran_it_meanwhile_is_seen_before_it_runs_again(keep: Open) -> None:
    log = Log()
    log.runs = [ran(30)]
    kept = await keep(log)
    await kept.loop.until(lambda: kept.service.next_at() is not None)
    # As `kefu learn --once` does.
    log.runs.insert(0, ran(0))
    await kept.loop.until(lambda: kept.trials.looks >= 3)
    assert len(kept.loop.begun) <= 1
    begun = len(kept.loop.begun)
    await kept.service._run()
    assert len(kept.loop.begun) == begun


async def test_a_run_that_a_killed_process_left_is_gone_on_with(keep: Open) -> None:
    log = Log()
    log.runs = [ran(1)]
    kept = await keep(log, left="left")
    await kept.loop.until(lambda: kept.loop.driven == ["left"])
    assert kept.loop.begun == []


async def test_once_people_have_answered_it_is_proven_again(keep: Open) -> None:
    log = Log()
    log.runs = [ran(1)]
    kept = await keep(log, period=None)
    await kept.loop.until(lambda: kept.trials.looks >= 2)
    assert kept.loop.begun == []
    kept.loop.waiting = {"id": "r7"}
    await kept.loop.until(lambda: kept.loop.driven == ["r1"])
    assert (kept.loop.begun, kept.loop.again) == (["answers"], {"id": "r7"})


async def test_while_another_runs_nothing_is_begun_twice_in_a_hurry(keep: Open) -> None:
    log = Log()
    log.runs = [ran(30)]
    kept = await keep(log)
    kept.loop.refuses = True
    await kept.loop.until(lambda: bool(kept.loop.begun))
    await kept.loop.until(lambda: kept.trials.looks >= 5)
    assert (len(kept.loop.begun), kept.loop.driven) == (1, [])


async def test_a_stop_stops_the_run(keep: Open) -> None:
    kept = await keep(left="left")
    await kept.loop.until(lambda: bool(kept.loop.driven))
    await kept.service.close()
    assert kept.loop.cancelled


async def test_a_failed_look_comes_again(keep: Open) -> None:
    kept = await keep()
    await kept.loop.until(lambda: kept.trials.looks >= 2)


@pytest.mark.parametrize(
    ("settings", "last", "begun"),
    [
        ({}, None, ["drift"]),
        ({"learn_drift": False}, None, []),
        ({}, timedelta(hours=3), []),
        ({}, timedelta(days=2), ["drift"]),
    ],
)
async def test_drift_calls_for_a_run_early_once_a_day(
    keep: Open, settings: dict[str, Any], last: timedelta | None, begun: list[str]
) -> None:
    looked = asyncio.Event()

    async def drift() -> bool:
        looked.set()
        return True

    log = Log()
    log.runs = [ran(1)]
    log.last_drift = None if last is None else utc_now() - last
    kept = await keep(log, drift=drift, **settings)
    await asyncio.wait_for(looked.wait(), 10)
    seen = kept.trials.looks
    await kept.loop.until(lambda: kept.trials.looks >= seen + 2)
    assert kept.loop.begun == begun


async def test_drift_is_looked_for_an_hour_after_the_last_look(keep: Open) -> None:
    async def drift() -> bool:
        raise AssertionError

    log = Log()
    log.checks = [{"created_at": utc_now() - timedelta(minutes=10)}]
    kept = await keep(log, drift=drift)
    job = kept.service._scheduler.get_job("drift")
    assert timedelta(minutes=49) < job.next_run_time - utc_now() < timedelta(minutes=51)


async def test_without_a_period_the_watches_go_on(keep: Open) -> None:
    kept = await keep(period=None)
    await kept.loop.until(lambda: kept.trials.looks >= 2)
    assert (kept.service.next_at(), kept.loop.begun) == (None, [])


async def test_it_says_whether_it_can_do_its_job(keep: Open) -> None:
    kept = await keep()
    async with TestClient(TestServer(health_app(kept.service))) as client:
        assert (await client.get("/healthz")).status == 200
        await kept.loop.until(lambda: kept.service.next_at() is not None)
        ready = await client.get("/readyz")
        assert ready.status == 200
        assert (await ready.json())["next_run"]
        kept.log.gone = StorageError("the disk is full")
        gone = await client.get("/readyz")
        assert gone.status == 503
        assert "the disk is full" in (await gone.json())["reason"]


@pytest.mark.parametrize(
    ("code", "alarm"),
    [("print('{\"alarm\": true}')", True), ("print('{\"alarm\": false}')", False)],
)
async def test_drift_is_looked_for_by_a_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, alarm: bool
) -> None:
    monkeypatch.setattr(service_module, "drift_command", lambda: [sys.executable, "-c", code])
    assert await look_for_drift(Settings(_env_file=None, state_dir=tmp_path)) is alarm
    fails = "import sys; sys.exit('kefu: no log')"
    monkeypatch.setattr(service_module, "drift_command", lambda: [sys.executable, "-c", fails])
    with pytest.raises(StepFailed, match="kefu: no log"):
        await look_for_drift(Settings(_env_file=None, state_dir=tmp_path))
