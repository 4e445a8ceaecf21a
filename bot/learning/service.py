"""The process of the learning loop: runs it on time, watches releases and drift, says it is up."""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from aiohttp import web
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from bot.errors import KefuError, StorageError
from bot.learning.errors import NoChampion, RunGoesOn, StepFailed
from bot.learning.loop import Loop
from bot.learning.loop_parts import ACTOR, Why
from bot.learning.schedule import may_run_early, next_run
from bot.log import harvested, learning_runs
from bot.log.journal import Journal
from bot.log.training_runs import Row
from bot.settings import Settings
from bot.world import World

logger = logging.getLogger(__name__)

SOON_S = 5.0
TEND_S = 5.0  # between looks for a run that a killed process left
LOOK_S = 60.0  # at a canary
ANSWERS_S = 300.0  # between looks whether people have said what a proof is open for
DRIFT_S = 3600.0
PLAN_S = 600.0  # between looks whether somebody else has run the loop
JITTER_S = 30
DRIFT_TIMEOUT_S = 900.0
RUNS = 50  # looked at to see when the last one succeeded


class Trials(Protocol):
    """The live guard of a canary."""

    async def look(self) -> object:
        """Judge the open trial: roll it back, promote it, or let it be."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceParts:
    """What the process is made with."""

    journal: Journal
    settings: Settings
    world: World
    loop: Loop
    trials: Trials
    # Looks for drift in a process of its own, whose memory goes with it: whether there is any.
    drift: Callable[[], Awaitable[bool]]


class LearningService:
    """Keeps the schedule; one run at a time is driven as a task of its own."""

    def __init__(self, parts: ServiceParts, period: timedelta | None) -> None:
        self._parts = parts
        self._period = period
        self._driving: asyncio.Task[None] | None = None
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    async def start(self) -> None:
        """Begin to keep the schedule; a run that a killed process left is gone on with."""
        await self._parts.loop.tidy()
        self._every(TEND_S, self._tend, "tend")
        self._every(LOOK_S, self._look, "look")
        self._every(ANSWERS_S, self._prove_again, "answers")
        self._every(DRIFT_S, self._watch, "drift", start=await self._next_drift())
        if self._period is not None:
            self._every(PLAN_S, self._plan, "plan", start=self._parts.world.now())
        self._scheduler.start()

    async def close(self) -> None:
        """Stop; the run that goes on stays open, and its step is begun again where it was."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._driving is not None:
            self._driving.cancel()
            await asyncio.gather(self._driving, return_exceptions=True)

    async def ready(self) -> str | None:
        """Why the loop cannot do its job; None when it can."""
        try:
            await self._parts.journal.check()
        except (StorageError, TimeoutError) as error:
            return str(error)
        return None

    def next_at(self) -> datetime | None:
        """When it runs next by itself."""
        job = self._scheduler.get_job("run")
        return None if job is None else job.next_run_time

    def _every(
        self,
        seconds: float,
        job: Callable[[], Awaitable[None]],
        name: str,
        *,
        start: datetime | None = None,
        jitter_s: int | None = None,
    ) -> None:
        """Have a job done so often: what was missed once, never twice at a time."""
        # An interval that began in the past is due at its next multiple, which may be long.
        soonest = self._parts.world.now() + timedelta(seconds=min(SOON_S, seconds))
        self._scheduler.add_job(
            _guarded(name, job),
            IntervalTrigger(
                seconds=seconds,
                start_date=max(start or soonest, soonest),
                timezone=UTC,
                jitter=jitter_s,
            ),
            id=name,
            replace_existing=True,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )

    async def _plan(self) -> None:
        """Set when the loop runs next, by what the database knows of its last runs."""
        if self._period is not None and not self._is_driving():
            start = await self._due_at(self._period)
            self._every(
                self._period.total_seconds(), self._run, "run", start=start, jitter_s=JITTER_S
            )

    async def _due_at(self, period: timedelta) -> datetime:
        runs = await self._parts.journal.browse(partial(learning_runs.latest_made, limit=RUNS))
        first_turn = await self._parts.journal.browse(harvested.first_turn)
        return next_run(runs, period, self._parts.world.now(), first_turn=first_turn)

    async def _run(self) -> None:
        """The period is over, unless somebody else has run the loop meanwhile."""
        assert self._period is not None
        # Jitter may have been early by so much.
        soon = self._parts.world.now() + timedelta(seconds=2 * JITTER_S + SOON_S)
        if await self._due_at(self._period) > soon or await self._begin("period"):
            await self._plan()

    async def _prove_again(self) -> None:
        """People have said what the last proof was open for."""
        run = await self._parts.loop.answered()
        if run is not None:
            await self._begin("answers", again=run)

    async def _begin(self, why: Why, *, again: Row | None = None) -> bool:
        """Begin a run; False where there cannot be one now: the plan is looked at again later."""
        if self._is_driving():
            return False
        try:
            run_id = await self._parts.loop.begin(actor=ACTOR, why=why, again=again)
        except (RunGoesOn, NoChampion) as error:
            logger.info("no learning run", extra={"reason": str(error)})
            return False
        self._drive(run_id)
        return True

    async def _tend(self) -> None:
        if not self._is_driving():
            run_id = await self._parts.loop.take_up()
            if run_id is not None:
                self._drive(run_id)

    def _is_driving(self) -> bool:
        return self._driving is not None and not self._driving.done()

    def _drive(self, run_id: str) -> None:
        async def drive() -> None:
            try:
                await self._parts.loop.drive(run_id)
            except KefuError as error:
                logger.warning("learning run interrupted", extra={"reason": str(error)})
            except Exception:
                logger.exception("learning run interrupted")

        self._driving = asyncio.create_task(drive())
        self._driving.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and self._scheduler.running and self._scheduler.get_job("plan"):
            self._scheduler.modify_job("plan", next_run_time=self._parts.world.now())

    async def _look(self) -> None:
        await self._parts.trials.look()

    async def _watch(self) -> None:
        if not await self._parts.drift() or not self._parts.settings.learn_drift:
            return
        last = await self._parts.journal.browse(learning_runs.last_of_drift)
        if may_run_early(last, self._parts.world.now()):
            await self._begin("drift")

    async def _next_drift(self) -> datetime | None:
        checks = await self._parts.journal.browse(partial(learning_runs.drift_checks, limit=1))
        return checks[0]["created_at"] + timedelta(seconds=DRIFT_S) if checks else None


def _guarded(name: str, job: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """A job whose failure is told and ends nothing: it comes again."""

    async def guarded() -> None:
        try:
            await job()
        except (KefuError, TimeoutError) as error:
            logger.warning("learning job failed", extra={"job": name, "reason": str(error)})
        except Exception:
            logger.exception("learning job failed", extra={"job": name})

    return guarded


def health_app(service: LearningService) -> web.Application:
    """GET /healthz and GET /readyz."""

    async def up(request: web.Request) -> web.Response:
        return web.json_response({"status": "up"})

    async def ready(request: web.Request) -> web.Response:
        reason = await service.ready()
        next_at = service.next_at()
        body: dict[str, Any] = {"next_run": None if next_at is None else next_at.isoformat()}
        if reason is None:
            return web.json_response({"status": "ready", **body})
        return web.json_response({"status": "not ready", "reason": reason}, status=503)

    app = web.Application()
    app.router.add_get("/healthz", up)
    app.router.add_get("/readyz", ready)
    return app


def drift_command() -> Sequence[str]:
    """The process that looks for drift."""
    return [sys.executable, "-m", "bot.cli", "learn", "--drift", "--json"]


async def look_for_drift(settings: Settings) -> bool:
    """Have a process look for drift; whether it raised an alarm. Raises StepFailed."""
    # Imported here: it is the supervisor's.
    from bot.up import child_environment

    process = await asyncio.create_subprocess_exec(
        *drift_command(),
        env=child_environment(settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, said = await asyncio.wait_for(process.communicate(), DRIFT_TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        raise StepFailed("drift", lines[-1] if lines else f"exit {process.returncode}")
    return bool(json.loads(out)["alarm"])
