"""Releases: every change of the version that answers, on record; trials, watched to their end."""

import asyncio
import logging
import time
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from bot.errors import RequestError, StorageError
from bot.learning.release import sides
from bot.learning.release.comparison import compare
from bot.learning.release.live_guard import ReleaseTerms, figures, judge
from bot.log import promotions as rows
from bot.log.journal import Journal
from bot.world import World
from nlu.trial import Trial

logger = logging.getLogger(__name__)

GUARD = "live guard"
OUTSIDE = "outside"
# A look's share of the database's time is at most one in so many.
REST = 20
# By then a switch has been made, or its process is gone.
LOST_AFTER = timedelta(minutes=10)


class Serving(Protocol):
    """The understanding service's versions, and who has which conversations."""

    def serving(self) -> str | None:
        """The version that serves."""
        ...

    def known(self) -> list[str]:
        """All there are."""
        ...

    def trial(self) -> Trial | None:
        """What is to be on trial."""
        ...

    async def promote(self, version: str) -> None:
        """Have it serve; a trial ends. Raises RequestError."""
        ...

    async def roll_back(self) -> str:
        """Have the version before serve again; the version. Raises RequestError."""
        ...

    async def try_out(self, trial: Trial) -> None:
        """Give it its share. Raises RequestError."""
        ...

    async def end_trial(self) -> None:
        """Give all to the version that serves."""
        ...


class Releases:
    """Changes the serving version and leaves a row of each change; at most one trial is open."""

    def __init__(
        self, journal: Journal, versions: Serving, world: World, terms: ReleaseTerms
    ) -> None:
        self._journal = journal
        self._versions = versions
        self._world = world
        self._terms = terms
        self._rest_until = 0.0
        self._odd: str | None = None  # a change that nobody had noted, one look ago

    async def promote(
        self, version: str, *, actor: str, run_id: str | None = None, reason: str | None = None
    ) -> None:
        """Have a version serve everyone; an open trial ends with it. Raises RequestError."""
        trial = await self.open_trial()
        if trial is not None and trial["version"] == version:
            await self._promote_trial(trial, reason or f"promoted by {actor}", trial["report"])
            return
        row = self._row("full", version, actor=actor, run_id=run_id, reason=reason)
        await self._journal.write(partial(rows.begin_switch, row=row))
        try:
            await self._versions.promote(version)
        except RequestError as error:
            await self._finish(row["id"], "ended", reason=f"not promoted: {error}")
            raise
        await self._finish(row["id"], "promoted")
        if trial is not None:
            reason = f"{version} was promoted by {actor}"
            await self._finish(trial["id"], "ended", reason=reason)

    async def start_canary(
        self, version: str, *, share: float | None = None, actor: str, run_id: str | None = None
    ) -> str:
        """Have a version answer a share of the conversations; the row's id. Raises RequestError."""
        return await self._start(
            "canary", version, share or self._terms.share, actor=actor, run_id=run_id
        )

    async def start_ab(self, version: str, *, share: float = 0.5, actor: str) -> str:
        """Compare a version with the serving one; the row's id. Raises RequestError."""
        return await self._start("ab", version, share, actor=actor, run_id=None)

    async def look(self) -> str | None:
        """Judge the open trial: roll it back, promote it, or note its figures.

        The state that it is in now, None where none is open. To be called every minute or so, by
        one process; looks that take long are passed over, so that they cost little.
        """
        await self._notice()
        trial = await self.open_trial()
        if trial is None or time.monotonic() < self._rest_until:
            return None if trial is None else "open"
        serving = self._versions.serving()
        if serving == trial["version"]:  # promoted, and its process died before it said so
            await self._finish(trial["id"], "promoted", reason="everyone has it")
            return "promoted"
        if over := self._is_over(trial, serving):
            await self._versions.end_trial()
            await self._finish(trial["id"], "ended", reason=over)
            return "ended"
        now = self._world.now()
        found = await self._count(trial)
        if trial["kind"] == "ab":
            report = await self._compared(trial, found)
            await self._journal.write(partial(rows.note, id_=trial["id"], report=report))
            return "open"
        judged = judge(trial, found, self._terms, now)
        if judged.decision == "roll_back":
            # Customers first: the row says so once it is so.
            await self._versions.end_trial()
            await self._finish(
                trial["id"], "rolled_back", reason=judged.reason, report=judged.report
            )
            logger.warning(
                "canary rolled back", extra={"version": trial["version"], "reason": judged.reason}
            )
            return "rolled_back"
        if judged.decision == "promote":
            try:
                await self._promote_trial(trial, judged.reason, judged.report)
            except RequestError as error:
                logger.error("canary not promoted", extra={"reason": str(error)})
                return "open"
            return "promoted"
        await self._journal.write(partial(rows.note, id_=trial["id"], report=judged.report))
        return "open"

    async def roll_back(self, *, actor: str, reason: str | None = None) -> str:
        """Have the version before serve again, at once; an open trial ends. The version.

        Raises RequestError where there is none, StorageError where it is done but not on record.
        """
        left = self._versions.serving()
        version = await self._versions.roll_back()
        await self.record_roll_back(version, left, actor=actor, reason=reason)
        return version

    async def record_roll_back(
        self, version: str, left: str | None, *, actor: str, reason: str | None
    ) -> None:
        """Put a roll-back on record that has been made: customers come first."""
        trial = await self.open_trial()
        if trial is not None:
            said = f"rolled back by {actor}" + (f": {reason}" if reason else "")
            await self._finish(trial["id"], "rolled_back", reason=said)
        row = self._row("rollback", version, actor=actor, run_id=None, reason=reason)
        await self._journal.write(partial(rows.record, row=row | {"previous": left}))

    async def end(self, *, actor: str, keep: str | None = None, reason: str | None = None) -> str:
        """End the open trial; `keep` "b" promotes what is tried, else the serving one stays.

        The version that serves then. Raises RequestError where no trial is open.
        """
        trial = await self.open_trial()
        if trial is None:
            raise RequestError(409, "trial", "none is open", "start one first")
        report = await self.report(trial)
        said = f"ended by {actor}" + (f": {reason}" if reason else "")
        if keep == "b":
            await self._promote_trial(trial, said, report)
            return str(trial["version"])
        await self._versions.end_trial()
        await self._finish(trial["id"], "ended", reason=said, report=report)
        return str(trial["previous"])

    async def open_trial(self) -> rows.Row | None:
        """The row of the trial that is open."""
        return await self._journal.read(rows.open_trial)

    async def report(self, trial: rows.Row) -> dict[str, Any]:
        """The figures of a trial as they are now."""
        found = await self._count(trial)
        if trial["kind"] == "ab":
            return await self._compared(trial, found)
        return judge(trial, found, self._terms, self._world.now()).report

    async def history(self, *, limit: int = 50) -> list[rows.Row]:
        """The newest changes and trials, newest first."""
        return await self._journal.browse(partial(rows.listing, limit=limit))

    async def _start(
        self, kind: str, version: str, share: float, *, actor: str, run_id: str | None
    ) -> str:
        if not 0 < share < 1:
            raise RequestError(422, "share", f"{share:g} is not between 0 and 1", "use 0.1 or so")
        serving = self._versions.serving()
        if version == serving:
            raise RequestError(409, "version", f"{version} serves already", "choose another")
        if version not in self._versions.known():
            raise RequestError(404, "version", f"there is no {version}", "see `kefu models list`")
        slow_ms = await self._journal.browse(
            partial(sides.slow_ms, version=serving, now=self._world.now())
        )
        row = self._row(kind, version, actor=actor, run_id=run_id, reason=None)
        row |= {"share": share, "report": {"slow_ms": slow_ms}}
        try:
            begun = await self._journal.write(partial(rows.begin_trial, row=row))
        except StorageError:
            # Two at once: the database lets one of them have the slot.
            if await self.open_trial() is None:
                raise
            begun = False
        if not begun:
            other = await self.open_trial()
            of = "" if other is None else f" of {other['version']}"
            raise RequestError(409, "version", f"a trial{of} is open", "end it first")
        try:
            await self._versions.try_out(sides.trial_of(row))
        except RequestError as error:
            await self._finish(row["id"], "ended", reason=f"not begun: {error}")
            raise
        return str(row["id"])

    async def _promote_trial(
        self, trial: rows.Row, reason: str, report: dict[str, Any] | None
    ) -> None:
        await self._versions.promote(trial["version"])
        await self._finish(trial["id"], "promoted", reason=reason, report=report)
        logger.info("version promoted", extra={"version": trial["version"]})

    def _is_over(self, trial: rows.Row, serving: str | None) -> str | None:
        """Why a trial cannot go on: somebody changed, without the log, what it was about."""
        if serving != trial["previous"]:
            return f"{serving} serves now, which it was not up against"
        begun = self._world.now() - trial["created_at"] > LOST_AFTER
        told = self._versions.trial()
        if told is None and begun:
            # Never begun again by itself: who took the file away wanted it to end.
            return "it was ended outside of the log"
        if told is not None and told != sides.trial_of(trial):
            return f"{told.version} is tried in its place"
        return None

    async def _notice(self) -> None:
        """Put on record what was changed without us: by a training, or by hand."""
        now = self._world.now()
        serving = self._versions.serving()
        for row in await self._journal.read(
            partial(rows.unfinished_switches, before=now - LOST_AFTER)
        ):
            state = "promoted" if row["version"] == serving else "ended"
            await self._finish(row["id"], state)
        last = await self._journal.read(rows.last_change)
        trial = await self.open_trial()
        if (
            last is None
            or serving in (None, last["version"])
            or (trial is not None and trial["version"] == serving)
        ):
            self._odd = None
        elif self._odd != serving:
            # Perhaps a change that is being made, and noted in a moment.
            self._odd = serving
        else:
            row = self._row("full", serving, actor=OUTSIDE, run_id=None, reason="found serving")
            row["previous"] = last["version"]
            await self._journal.write(partial(rows.record, row=row))
            self._odd = None

    async def _count(self, trial: rows.Row) -> sides.Sides:
        started_s = time.monotonic()
        found = await self._journal.browse(partial(sides.count, row=trial, until=self._world.now()))
        ended_s = time.monotonic()
        self._rest_until = ended_s + REST * (ended_s - started_s)
        return found

    async def _compared(self, trial: rows.Row, found: sides.Sides) -> dict[str, Any]:
        compared = await asyncio.to_thread(compare, trial["previous"], trial["version"], found)
        return figures(trial, found, self._world.now()) | {"comparison": compared.as_json()}

    async def _finish(self, id_: str, state: str, **values: Any) -> bool:
        now = self._world.now()
        kept = {name: value for name, value in values.items() if value is not None}
        return await self._journal.write(
            partial(rows.finish, id_=id_, state=state, now=now, values=kept)
        )

    def _row(
        self, kind: str, version: str, *, actor: str, run_id: str | None, reason: str | None
    ) -> dict[str, Any]:
        return {
            "id": self._world.new_id(),
            "kind": kind,
            "version": version,
            "previous": self._versions.serving(),
            "share": 1.0,
            "actor": actor,
            "run_id": run_id,
            "reason": reason,
            "report": None,
            "created_at": self._world.now(),
        }
