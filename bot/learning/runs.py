"""Training runs: started from the console, one at a time, each looked after until it has ended."""

import asyncio
import json
import logging
import platform
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from bot.errors import KefuError, RequestError, StorageError
from bot.learning.process import RunProcess, clear_leftovers, last_lines, launch
from bot.learning.run_folder import RunFolder, processes_of
from bot.log import training_runs as rows
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World

logger = logging.getLogger(__name__)

LOOK_S = 1.0  # at a run of ours
RENEW_S = 5.0  # it is looked after, said while something long is under way
IDLE_S = 5.0  # whether there is one
ADOPT_AFTER_S = 15.0  # without a look of its gateway, another on its machine takes the run
LOST_AFTER_S = 120.0  # without a look, gateways on other machines give it up
ABANDONED_AFTER_S = 900.0  # without a look, a run of the learning loop is ended
CLOSE_S = 15.0  # a process that is being stopped gets its time
LINES = 40
MAX_EPOCHS = 50
LOOP = "learn"  # the kind of a run that is the learning loop's: it looks after it itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run is to do."""

    corrections: bool = True
    epochs: int | None = None  # None: as many as the trainer thinks right
    promote: bool = False


class Corrections(Protocol):
    """What reviewers corrected, as training data."""

    async def write(self, folder: Path) -> list[str]:
        """Write nlu.yml and emotion.csv as far as there are any; the ids of the turns used."""
        ...

    async def seen(self, version: str, turn_ids: Sequence[str]) -> None:
        """Keep that a version was trained on these turns."""
        ...


Command = Callable[[Options, Path | None], Sequence[str]]


def train_command(options: Options, corrections: Path | None) -> list[str]:
    """`kefu train` with what the run wants; it prints its report as JSON and promotes nothing."""
    command = [sys.executable, "-m", "bot.cli", "train", "--json", "--no-activate"]
    if options.epochs is not None:
        command += ["--epochs", str(options.epochs)]
    if corrections is not None:
        command += ["--corrections", str(corrections)]
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What runs are made with."""

    journal: Journal
    settings: Settings
    world: World
    corrections: Corrections
    promote: Callable[[str], Awaitable[None]]


class TrainingRuns:
    """Begins, follows and cancels runs; a run goes on while gateways come and go."""

    def __init__(
        self,
        parts: RunParts,
        *,
        command: Command = train_command,
        look_s: float = LOOK_S,
        renew_s: float = RENEW_S,
        abandoned_after_s: float = ABANDONED_AFTER_S,
    ) -> None:
        self.command = command
        self._parts = parts
        self._look_s = look_s
        self._renew_s = renew_s
        self._abandoned_after_s = abandoned_after_s
        # The loop's last look at its run, and when we first saw that one.
        self._loop_seen: tuple[datetime, float] | None = None
        self._folder = parts.settings.state_dir / "training"
        self._host = platform.node()
        self._owner = parts.world.new_id()
        self._woken = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after runs from now on, also those that an earlier process began."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Look no more; a run that is going on goes on."""
        self._closing = True
        self._woken.set()
        if self._task is not None:
            # A look that is under way is let finish: it may be writing how a run ended.
            await asyncio.wait([self._task], timeout=CLOSE_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def begin(self, options: Options, *, actor: str) -> str:
        """Queue a run; returns its id. Raises RequestError while another is open."""
        if options.epochs is not None and not 1 <= options.epochs <= MAX_EPOCHS:
            raise RequestError(
                422, "epochs", f"{options.epochs} is not from 1 to {MAX_EPOCHS}", "choose another"
            )
        now = self._parts.world.now()
        row = {
            "id": self._parts.world.new_id(),
            "actor": actor,
            "options": asdict(options),
            "host": self._host,
            "owner": self._owner,
            "created_at": now,
            "seen_at": now,
        }
        try:
            begun = await self._parts.journal.write(partial(rows.begin, row=row))
        except StorageError:
            # Two gateways at once: the database lets one of them have the slot.
            if await self._parts.journal.read(rows.open_run) is None:
                raise
            begun = False
        if not begun:
            raise RequestError(
                409, "run", "a training is going on already", "wait for it, or cancel it"
            )
        self._woken.set()
        return str(row["id"])

    async def cancel(self, run_id: str, *, actor: str) -> None:
        """Have a run stopped, by whichever gateway has it. Raises RequestError."""
        unit = partial(rows.ask_cancel, run_id=run_id, by=actor)
        if not await self._parts.journal.write(unit):
            raise RequestError(409, "run", "this training has ended", "reload the page")
        self._woken.set()

    async def _keep(self) -> None:
        try:
            await self._tidy()
        except (KefuError, OSError) as error:
            logger.warning("old trainings not tidied", extra={"reason": str(error)})
        while not self._closing:
            wait_s = IDLE_S
            try:
                wait_s = await self._look()
            except KefuError as error:
                logger.warning("training not looked after", extra={"reason": str(error)})
            except Exception:
                logger.exception("training not looked after")
            try:
                await asyncio.wait_for(self._woken.wait(), min(wait_s, IDLE_S))
            except TimeoutError:
                continue
            self._woken.clear()

    async def _tidy(self) -> None:
        """Remove what runs that have ended left on disk when their gateway was killed."""
        for folder in self._folder.glob("*"):
            run = await self._parts.journal.read(partial(rows.find, run_id=folder.name))
            if run is None or run["slot"] is None:
                await asyncio.to_thread(shutil.rmtree, folder, True)

    async def _look(self) -> float:
        """Do what the open run needs; returns the seconds until the next look."""
        run = await self._parts.journal.read(rows.open_run)
        if run is None:
            return IDLE_S
        if run["kind"] == LOOP:
            await self._watch_loop(run)
            return IDLE_S
        now = self._parts.world.now()
        if run["host"] != self._host:
            if now - run["seen_at"] > timedelta(seconds=LOST_AFTER_S):
                await self._end(run, "failed", error=f"nobody on {run['host']} looks after it")
            return IDLE_S
        if run["owner"] != self._owner and not await self._adopted(run, now):
            return self._look_s
        if run["state"] == "queued":
            await self._launch(run)
        else:
            await self._follow(run)
        return self._look_s

    async def _watch_loop(self, run: rows.Row) -> None:
        """End a run of the learning loop that nobody has looked after for long.

        Counted from when we first saw it so: after a restart of the machine the loop, which comes
        last, is to find its run.
        """
        if self._loop_seen is None or self._loop_seen[0] != run["seen_at"]:
            self._loop_seen = run["seen_at"], time.monotonic()
            return
        unseen_s = time.monotonic() - self._loop_seen[1]
        if unseen_s <= (LOST_AFTER_S if run["cancel_by"] else self._abandoned_after_s):
            return
        folder = RunFolder(self._parts.settings.state_dir, run["id"])
        if run["host"] == self._host:
            for process in processes_of(run, folder):
                await asyncio.to_thread(process.stop)
        state = "cancelled" if run["cancel_by"] else "failed"
        await self._end(run, state, error=f"nobody on {run['host']} looks after it")
        await asyncio.to_thread(folder.clear)

    async def _adopted(self, run: rows.Row, now: datetime) -> bool:
        if now - run["seen_at"] <= timedelta(seconds=ADOPT_AFTER_S):
            return False
        adopt = partial(
            rows.adopt, run_id=run["id"], seen_at=run["seen_at"], owner=self._owner, now=now
        )
        return await self._parts.journal.write(adopt)

    async def _launch(self, run: rows.Row) -> None:
        if run["cancel_by"] is not None:
            await self._end(run, "cancelled")
            return
        options, folder = Options(**run["options"]), self._folder / run["id"]
        now = self._parts.world.now()
        if not await self._note(run, state="running", started_at=now, seen_at=now):
            return
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            corrections = folder / "corrections" if options.corrections else None
            if corrections is not None:
                corrections.mkdir(exist_ok=True, mode=0o700)
                async with self._looked_after(run):
                    turn_ids = await self._parts.corrections.write(corrections)
                (folder / "turns.json").write_text(json.dumps(turn_ids))
            # Imported here: it is the supervisor's, and loads what a gateway has no use for.
            from bot.up import child_environment

            process = launch(
                self.command(options, corrections),
                child_environment(self._parts.settings),
                out=folder / "report.json",
                log=folder / "log",
            )
        except (OSError, RequestError) as error:
            await self._end(run, "failed", error=f"it cannot be started: {error}")
            return
        noted = False
        try:
            noted = await self._note(run, process_id=process.pid, process_since=process.since)
        finally:
            if not noted:
                # Nobody would know of it, and whoever has the run by now calls it failed.
                await asyncio.to_thread(process.stop)
                await asyncio.to_thread(shutil.rmtree, folder, True)

    async def _follow(self, run: rows.Row) -> None:
        if run["process_id"] is None:
            await self._end(run, "failed", error="the gateway stopped while it was being started")
            return
        process = RunProcess(pid=run["process_id"], since=run["process_since"])
        if run["cancel_by"] is not None:
            await asyncio.to_thread(process.stop)
            if _read_report(self._folder / run["id"] / "report.json") is None:
                await self._end(run, "cancelled")
            else:
                # It was done before it could be stopped: its version is there, and learned from
                # customers' words, which an erasure must be able to find.
                await self._collect(run, promote=False)
        elif process.is_alive():
            lines = last_lines(self._folder / run["id"] / "log", LINES)
            await self._note(run, lines=lines, seen_at=self._parts.world.now())
        else:
            await self._collect(run, promote=run["options"]["promote"])

    async def _collect(self, run: rows.Row, *, promote: bool) -> None:
        """End a run whose process has ended, by what that has left."""
        folder = self._folder / run["id"]
        report = _read_report(folder / "report.json")
        if report is None:
            said = last_lines(folder / "log", 1)
            reason = said[0] if said else "its process is gone: killed, or out of memory"
            await self._end(run, "failed", error=reason)
            return
        version = str(report["model_version"])
        error: str | None = None
        turns = folder / "turns.json"
        if turns.is_file():
            await self._parts.corrections.seen(version, json.loads(turns.read_text()))
        promoted = False
        if promote:
            try:
                async with self._looked_after(run):
                    await self._parts.promote(version)
                promoted = True
            except RequestError as refused:
                error = f"trained, but not promoted: {refused}"
        metrics = {
            name: report.get(name) for name in ("validation", "examples", "best_epoch", "precision")
        }
        await self._end(
            run, "succeeded", version=version, metrics=metrics, promoted=promoted, error=error
        )

    async def _end(self, run: rows.Row, state: str, **values: Any) -> None:
        """The row first: what is on disk is of no more use once it says how the run ended."""
        folder = self._folder / run["id"]
        lines = last_lines(folder / "log", LINES) or run["lines"]
        finish = partial(
            rows.finish,
            run_id=run["id"],
            state=state,
            values={"lines": lines, **values},
            now=self._parts.world.now(),
        )
        await self._parts.journal.write(finish)
        # The corrections in it are customers' words.
        await asyncio.to_thread(shutil.rmtree, folder, True)
        if run["process_id"] is not None:
            await asyncio.to_thread(
                clear_leftovers, self._parts.settings.models_dir, run["process_id"]
            )
        logger.info("training ended", extra={"run": run["id"], "state": state})

    @asynccontextmanager
    async def _looked_after(self, run: rows.Row) -> AsyncIterator[None]:
        """While something long is under way, keep other gateways from taking the run."""
        renewing = asyncio.create_task(self._renew(run))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self, run: rows.Row) -> None:
        while True:
            await asyncio.sleep(self._renew_s)
            try:
                if not await self._note(run, seen_at=self._parts.world.now()):
                    return
            except KefuError as error:
                logger.warning("training not looked after", extra={"reason": str(error)})

    async def _note(self, run: rows.Row, **values: Any) -> bool:
        note = partial(rows.note, run_id=run["id"], owner=self._owner, values=values)
        return await self._parts.journal.write(note)


def _read_report(path: Path) -> dict[str, Any] | None:
    """The report that a training prints when it has done all; None when it is not whole."""
    try:
        report = json.loads(path.read_text().strip().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return None
    return report if isinstance(report, dict) and report.get("model_version") else None
