"""The learning loop: one run at a time, step by step, taken up again wherever it was killed."""

import asyncio
import logging
import os
import platform
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import psutil

from bot.errors import KefuError, StorageError
from bot.learning.asking import answered_run, proving_again
from bot.learning.errors import NoChampion, RunGoesOn, StepFailed
from bot.learning.loop_parts import (
    ACTOR,
    STEPS,
    Command,
    LoopParts,
    Pace,
    Why,
    bundle_of,
    step_command,
)
from bot.learning.process import RunProcess, clear_leftovers, last_lines, launch, started
from bot.learning.run_folder import RunFolder, clear_ended, processes_of
from bot.log import learning_runs, training_runs
from bot.log.training_runs import Row
from nlu.errors import NluError

logger = logging.getLogger(__name__)

LINES = 40
LOST_AFTER_S = 120.0  # without a look, a run of another machine is given up
PROOFS = 3  # of one run: another version may begin to serve while one is proven


class Cancelled(Exception):
    """Somebody wants the run to stop."""


class Lost(Exception):
    """The run is not ours any more: ended, or taken up by another process."""


class Loop:
    """Begins runs and drives them to their end."""

    def __init__(
        self, parts: LoopParts, *, command: Command = step_command, pace: Pace | None = None
    ) -> None:
        self._parts = parts
        self._command = command
        self._pace = pace or Pace()
        self._host = platform.node()
        me = psutil.Process()
        self._driven: set[str] = set()
        self._owner = f"{me.pid} {started(me)} {parts.world.new_id()}"

    async def begin(self, *, actor: str, why: Why, again: Row | None = None) -> str:
        """Begin a run; returns its id. Raises RunGoesOn, NoChampion or StorageError.

        `again`: a run whose version is to be proven anew, with what people were asked.
        """
        settings = self._parts.settings
        champion = await asyncio.to_thread(self._parts.champion)
        if champion is None:
            raise NoChampion
        now = self._parts.world.now()
        row = {
            "id": self._parts.world.new_id(),
            "step": STEPS[0] if again is None else "prove",
            "actor": actor,
            "options": {
                "why": why,
                # Erasure asks: the run uses customers' words.
                "corrections": True,
                "epochs": None,
                "promote": settings.learn_release == "everyone",
                "release": settings.learn_release,
                "from": settings.learn_from,
                "champion": champion,
                **({} if again is None else proving_again(again)),
            },
            "dataset": None if again is None else again["dataset"],
            "version": None if again is None else again["version"],
            "host": self._host,
            "owner": self._owner,
            "created_at": now,
            "started_at": now,
            "seen_at": now,
        }
        open_run: Row | None = None
        try:
            begun = await self._parts.journal.write(partial(learning_runs.begin, row=row))
        except StorageError:
            # Two at once: the database lets one of them have the slot.
            open_run = await self._parts.journal.read(training_runs.open_run)
            if open_run is None:
                raise
            begun = False
        if not begun:
            open_run = open_run or await self._parts.journal.read(training_runs.open_run)
            raise RunGoesOn(
                open_run["id"] if open_run else "one that has just ended",
                open_run["host"] if open_run else "another machine",
            )
        return str(row["id"])

    async def answered(self) -> Row | None:
        """The run whose version can be proven again: people have said what was asked."""
        champion = await asyncio.to_thread(self._parts.champion)
        return await self._parts.journal.browse(partial(answered_run, champion=champion))

    async def begin_or_take_up(self, *, actor: str, why: Why) -> str:
        """A run of ours: a new one, or the one that a killed process of this machine left.

        Raises RunGoesOn while another is looked after, NoChampion or StorageError.
        """
        while True:
            taken = await self.take_up()
            if taken is not None:
                return taken
            try:
                return await self.begin(actor=actor, why=why)
            except RunGoesOn:
                run = await self._parts.journal.read(training_runs.open_run)
                if run is not None and not self._is_left(run):
                    raise
            # It is not long dead: whether it is shows when it would have said that it lives.
            await self._parts.world.sleep(self._pace.renew_s)

    def _is_left(self, run: Row) -> bool:
        """Whether it is a run of the loop on this machine whose process is gone."""
        of_here = run["kind"] == learning_runs.KIND and run["host"] == self._host
        return of_here and not _is_alive(run["owner"])

    async def take_up(self) -> str | None:
        """The run that a killed process of this machine left, as ours now; None without one.

        A run of another machine that nobody has looked after for long is given up.
        """
        run = await self._parts.journal.read(training_runs.open_run)
        if run is None or run["kind"] != learning_runs.KIND:
            return None
        if run["owner"] == self._owner:
            # Left when the database did not answer.
            return None if run["id"] in self._driven else str(run["id"])
        now = self._parts.world.now()
        unseen = now - run["seen_at"]
        if run["host"] != self._host:
            if unseen > timedelta(seconds=LOST_AFTER_S):
                await self._end(run, "failed", error=f"nobody on {run['host']} looks after it")
            return None
        if unseen <= timedelta(seconds=self._pace.adopt_after_s) or not self._is_left(run):
            return None
        adopt = partial(
            training_runs.adopt,
            run_id=run["id"],
            seen_at=run["seen_at"],
            owner=self._owner,
            now=now,
        )
        return str(run["id"]) if await self._parts.journal.write(adopt) else None

    async def tidy(self) -> None:
        """Clear what ended runs left on disk when their process was killed."""
        run = await self._parts.journal.read(training_runs.open_run)
        going_on = () if run is None else (str(run["id"]),)
        await asyncio.to_thread(clear_ended, self._parts.settings.state_dir, going_on)

    async def drive(self, run_id: str) -> Row:
        """Do what is left of a run of ours; returns its row when it has ended.

        When this is cancelled the process of the step is stopped, and the run stays open: whoever
        takes it up goes on at that step.
        """
        self._driven.add(run_id)
        try:
            return await self._driven_to_its_end(run_id)
        finally:
            self._driven.discard(run_id)

    async def _driven_to_its_end(self, run_id: str) -> Row:
        run = await self._row(run_id)
        folder = RunFolder(self._parts.settings.state_dir, run_id)
        await asyncio.to_thread(folder.make)
        logger.info("learning run", extra={"run": run_id, "step": run["step"]})
        try:
            await self._drive_and_end(run, folder)
        except Lost:
            await self._let_go(run_id, folder)
        except asyncio.CancelledError:
            await self._stop(run_id, folder)
            raise
        else:
            await self._prune()
        return await self._row(run_id)

    async def _prune(self) -> None:
        """What the run came to does not depend on it."""
        try:
            await self._parts.prune(self._parts.journal, self._parts.settings)
        except (KefuError, NluError, OSError) as error:
            logger.warning("versions not removed", extra={"reason": str(error)})

    async def _drive_and_end(self, run: Row, folder: RunFolder) -> None:
        try:
            async with self._looked_after(run["id"]):
                ended = await self._drive(run, folder)
            await self._end(run, "succeeded", **ended)
        except Cancelled:
            await self._stop(run["id"], folder)
            await self._end(run, "cancelled", **await self._found(run, folder))
        except StepFailed as failed:
            await self._end(run, "failed", error=str(failed), **await self._found(run, folder))

    async def _let_go(self, run_id: str, folder: RunFolder) -> None:
        """Leave a run that another process has; stop what goes on of one that has ended."""
        logger.warning("learning run is not ours any more", extra={"run": run_id})
        run = await self._parts.journal.read(partial(training_runs.find, run_id=run_id))
        if run is None or run["slot"] is None:
            await self._stop(run_id, folder)
            await asyncio.to_thread(folder.clear)

    async def _drive(self, run: Row, folder: RunFolder) -> dict[str, Any]:
        """Step by step; returns what the row is to say at the end. Raises StepFailed and so on."""
        if run["options"].get("again") is None:
            nothing = await self._train(run, folder)
            if nothing is not None:
                return nothing
        version = str((await self._row(run["id"]))["version"])
        verdict = await self._prove(run, folder, version)
        await self._note(run, verdict=verdict)
        return await self._released(run, version, verdict)

    async def _train(self, run: Row, folder: RunFolder) -> dict[str, Any] | None:
        """From the log to a version; what the row is to say where there is none to be made."""
        forced = run["options"]["why"] == "drift"
        harvested = await self._step("harvest", run, folder)
        if not harvested["rows"]:
            return _nothing("there is nothing to learn from yet: nobody has corrected a turn")
        guarded = await self._step("guard", run, folder)
        # What drifted may need what is known to be weighed anew.
        if not guarded["kept"] or (not guarded["new"] and not forced):
            held = sum(guarded["held"].values())
            waiting = f"; {held} turns are held back for a review" if held else ""
            return _nothing(f"nothing new since the last run{waiting}")
        sealed = await self._step("seal", run, folder)
        await self._note(run, dataset=sealed["dataset"])
        await self._step("train", run, folder)
        await self._note(run, **await self._found(run, folder))
        return None

    async def _prove(self, run: Row, folder: RunFolder, version: str) -> dict[str, Any]:
        """The verdict on a version, against the one that serves."""
        for _ in range(PROOFS):
            proof = await self._step("prove", run, folder)
            current = await asyncio.to_thread(self._parts.champion)
            if current in (proof["champion"], version):
                return {key: value for key, value in proof.items() if key != "champion"}
            # It is to be better than what serves now, which is another than it was tried against.
            await asyncio.to_thread(folder.forget, "prove")
        raise StepFailed("prove", "the version that serves changes all the time")

    async def _released(self, run: Row, version: str, verdict: dict[str, Any]) -> dict[str, Any]:
        """Release by the verdict and the setting; the same version again changes nothing."""
        await self._note(run, step="release")
        how = run["options"]["release"] if verdict["decision"] == "promote" else "none"
        promoted, error = False, None
        try:
            if how != "none" and await asyncio.to_thread(self._parts.champion) == version:
                # A loop that was killed, or the live guard of its canary, came that far.
                promoted = True
            elif how == "everyone":
                await self._parts.release.promote(
                    version, actor=ACTOR, run_id=run["id"], reason=_because(verdict)
                )
                promoted = True
            elif how == "canary":
                trial = await self._parts.release.open_trial()
                if trial is None or trial["version"] != version:
                    share = self._parts.settings.learn_canary_share
                    await self._parts.release.start_canary(
                        version, share=share, actor=ACTOR, run_id=run["id"]
                    )
        except StorageError:
            raise
        except KefuError as refused:
            how, error = "none", f"proven, but not released: {refused}"
        return {"verdict": {**verdict, "release": how}, "promoted": promoted, "error": error}

    async def _step(self, step: str, run: Row, folder: RunFolder) -> dict[str, Any]:
        """A step's report: of the process that is at it, or one that is started now."""
        report = await asyncio.to_thread(folder.report, step)
        if report is not None:
            return report
        row = await self._row(run["id"])
        alive = [process for process in processes_of(row, folder) if process.is_alive()]
        if alive and row["step"] == step:
            process = alive[0]
        else:
            for left_over in alive:
                await asyncio.to_thread(left_over.stop)
            await self._note(run, step=step, process_id=None, process_since=None)
            process = await asyncio.to_thread(self._launch, step, run["id"], folder)
        await self._note(run, process_id=process.pid, process_since=process.since)
        while process.is_alive():
            await asyncio.sleep(self._pace.look_s)
        await asyncio.to_thread(clear_leftovers, self._parts.settings.models_dir, process.pid)
        report = await asyncio.to_thread(folder.report, step)
        if report is None:
            said = last_lines(folder.log_of(step), 1)
            raise StepFailed(
                step, said[0] if said else "its process is gone: killed, or out of memory"
            )
        logger.info("learning step done", extra={"run": run["id"], "step": step})
        return report

    def _launch(self, step: str, run_id: str, folder: RunFolder) -> RunProcess:
        # Imported here: it is the supervisor's.
        from bot.up import child_environment

        try:
            return launch(
                self._command(step, run_id),
                child_environment(self._parts.settings),
                # The process itself opens its report once it is the only one at the step.
                out=folder.path / "out",
                log=folder.log_of(step),
            )
        except OSError as error:
            raise StepFailed(step, f"it cannot be started: {error}") from error

    async def _found(self, run: Row, folder: RunFolder) -> dict[str, Any]:
        """What the training made, if it came that far; whose turns it saw is noted.

        Also of a run that is cancelled or fails: the version is there.
        """
        trained = await asyncio.to_thread(folder.report, "train")
        version = await asyncio.to_thread(self._made, run, trained)
        if version is None:
            return {}
        row = {**await self._row(run["id"]), "version": version}
        await self._parts.expose(self._parts.journal, self._parts.settings, row)
        kept = ("validation", "examples", "best_epoch", "precision")
        metrics = None if trained is None else {name: trained.get(name) for name in kept}
        return {"version": version, "metrics": metrics}

    def _made(self, run: Row, trained: Mapping[str, Any] | None) -> str | None:
        """The run's version: by the training's word, or by what it left when it was killed."""
        if trained is not None:
            return str(trained["model_version"])
        bundle = bundle_of(run, self._parts.settings.models_dir)
        return bundle.name if (bundle / "manifest.json").is_file() else None

    async def _stop(self, run_id: str, folder: RunFolder) -> None:
        """End whatever is at a step of the run."""
        row = await self._parts.journal.read(partial(training_runs.find, run_id=run_id))
        for process in processes_of(row, folder):
            await asyncio.to_thread(process.stop)
            await asyncio.to_thread(clear_leftovers, self._parts.settings.models_dir, process.pid)

    @asynccontextmanager
    async def _looked_after(self, run_id: str) -> AsyncIterator[None]:
        """Say that the run is looked after; when it is to stop, or is lost, end what is inside.

        Raises Cancelled or Lost in the place of whatever was being waited for.
        """
        outer = asyncio.current_task()
        assert outer is not None
        ended: list[Exception] = []

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._pace.renew_s)
                try:
                    await self._renew(run_id)
                except (Cancelled, Lost) as error:
                    ended.append(error)
                    outer.cancel()
                    return
                except KefuError as error:
                    logger.warning("learning run not noted", extra={"reason": str(error)})

        renewing = asyncio.create_task(renew())
        try:
            try:
                yield
            finally:
                renewing.cancel()
                await asyncio.wait([renewing])
        except asyncio.CancelledError:
            if not ended or outer.uncancel():
                raise
            raise ended[0] from None

    async def _renew(self, run_id: str) -> None:
        run = await self._row(run_id)
        if run["slot"] is None or run["owner"] != self._owner:
            raise Lost
        # What is being released is let be: half of it would be neither the one nor the other.
        if run["cancel_by"] is not None and run["step"] != "release":
            raise Cancelled
        log = RunFolder(self._parts.settings.state_dir, run_id).log_of(run["step"])
        lines = await asyncio.to_thread(last_lines, log, LINES)
        await self._note(run, seen_at=self._parts.world.now(), lines=lines or run["lines"])

    async def _row(self, run_id: str) -> Row:
        run = await self._parts.journal.read(partial(training_runs.find, run_id=run_id))
        if run is None:
            raise Lost
        return run

    async def _note(self, run: Row, **values: Any) -> None:
        note = partial(training_runs.note, run_id=run["id"], owner=self._owner, values=values)
        if not await self._parts.journal.write(note):
            raise Lost

    async def _end(self, run: Row, state: str, **values: Any) -> None:
        """The row first: what is on disk is of no more use once it says how the run ended."""
        if run["host"] == self._host:
            await self._note(run, seen_at=self._parts.world.now())
        finish = partial(
            training_runs.finish,
            run_id=run["id"],
            state=state,
            values=values,
            now=self._parts.world.now(),
        )
        await self._parts.journal.write(finish)
        folder = RunFolder(self._parts.settings.state_dir, run["id"])
        await asyncio.to_thread(folder.clear)
        logger.info("learning run ended", extra={"run": run["id"], "state": state})


def _nothing(sentence: str) -> dict[str, Any]:
    reason = {"name": "nothing_new", "level": "note", "sentence": sentence, "figures": {}}
    return {"verdict": {"decision": "nothing_new", "reasons": [reason], "release": "none"}}


def _because(verdict: Mapping[str, Any]) -> str | None:
    """The sentences that decided."""
    said = [one["sentence"] for one in verdict["reasons"] if one["level"] == verdict["decision"]]
    return "; ".join(said) or None


def _is_alive(owner: str) -> bool:
    """Whether the process that calls itself so still runs on this machine."""
    pid, since, _ = owner.split(" ")
    if int(pid) == os.getpid():
        # Another loop of this very process: it says itself when it looks after the run.
        return False
    return RunProcess(pid=int(pid), since=float(since)).is_alive()
