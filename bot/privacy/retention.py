"""Deletes what is older than its rule says: once a day, in small batches, on record."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from bot.errors import RequestError, StorageError
from bot.log import audit, erasures, retention, voice_changes
from bot.log.erasures import NewRequest
from bot.log.journal import Journal
from bot.privacy.eraser import Eraser
from bot.privacy.work import AFTER_RETENTION, OF_RETENTION
from bot.world import World

logger = logging.getLogger(__name__)

FIRST_LOOK_S = 60.0
LOOK_S = 600.0
# Between two batches: others write meanwhile.
REST_S = 0.02
ACTOR = "retention"
# No hash of anybody: the one request that cleans up after all batches.
CLEAN_UP = "retention: clean up"
# If the run that is to do it does not come to it.
CLEAN_UP_AFTER = timedelta(hours=1)


class Retention:
    """Applies the rules, in one gateway at a time."""

    def __init__(self, journal: Journal, eraser: Eraser, world: World) -> None:
        self._journal = journal
        self._eraser = eraser
        self._world = world
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on whether a run is due."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Stop; what was not reached is deleted in the next run."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def change(self, days: Mapping[str, int], actor: str) -> dict[str, tuple[int, int]]:
        """Set rules, on record; by kind the days before and now. Raises RequestError."""
        for kind, wanted in days.items():
            if kind not in retention.DEFAULTS:
                raise RequestError(400, kind, "nothing of this kind is kept", "reload the page")
            if not 0 <= wanted <= retention.MOST_DAYS:
                raise RequestError(
                    400,
                    kind,
                    f"{wanted} is not a number of days",
                    f"write 0 (for ever) to {retention.MOST_DAYS}",
                )
        id_, now = self._world.new_id(), self._world.now()

        def keep(connection: Connection) -> dict[str, tuple[int, int]]:
            changed = retention.change(connection, days=days, changed_by=actor, now=now)
            if changed:
                detail = {kind: list(pair) for kind, pair in changed.items()}
                who = (actor, "retention_change", "retention")
                audit.note(connection, id_=id_, who=who, detail=detail, now=now)
            return changed

        return await self._journal.write(keep)

    async def count(self, days: Mapping[str, int] | None = None) -> dict[str, int]:
        """What a run would delete now, by kind; with other `days`, were they the rules."""
        now = self._world.now()

        def counted(connection: Connection) -> dict[str, int]:
            wanted = {kind: rule.days for kind, rule in retention.rules(connection).items()}
            wanted |= days or {}
            return {
                kind: retention.count(connection, kind=kind, before=now - timedelta(days=number))
                for kind, number in wanted.items()
                if number
            }

        return await self._journal.read(counted)

    async def run(self, *, actor: str = ACTOR, daily: bool = False) -> dict[str, int] | None:
        """Delete what is too old, by kind how much; None when it is not due, or another is at it.

        Raises StorageError or TimeoutError.
        """
        now = self._world.now()
        due = now - retention.RUN_EVERY if daily else None
        if not await self._journal.write(partial(retention.begin, now=now, due=due)):
            return None
        removed: dict[str, int] = {}
        try:
            rules = await self._journal.read(retention.rules)
            for kind, rule in rules.items():
                if rule.days:
                    removed[kind] = 0
                    await self._delete(kind, rule.days, removed)
            await self._clean_up(removed)
        finally:
            await self._journal.write(
                partial(retention.finish, removed=removed, now=self._world.now())
            )
        if any(removed.values()):
            await self._journal.audit(actor, "retention", "retention", dict(removed))
        logger.info("retention", extra={"removed": removed})
        return removed

    async def _delete(self, kind: str, days: int, removed: dict[str, int]) -> None:
        before = self._world.now() - timedelta(days=days)
        while True:
            if kind == "conversations":
                ids = await self._journal.read(partial(retention.old_conversations, before=before))
                if ids and not removed[kind]:
                    # Nothing will be left to count those days again.
                    await self._journal.write(partial(voice_changes.freeze, before=before))
                done = await self._erase(ids, before) if ids else 0
            else:
                done = await self._journal.write(
                    partial(retention.delete_some, kind=kind, before=before)
                )
            removed[kind] += done
            if not done:
                break
            await self._world.sleep(REST_S)

    async def _erase(self, ids: list[str], before: datetime) -> int:
        """Conversations go from the tracker too: durably, also when the dialogue is down now.

        Returns how many are gone: 0 when the log cannot be written, or another is at it.
        """
        id_, now = self._world.new_id(), self._world.now()
        new = NewRequest(
            id=id_,
            kind="retention",
            actor=ACTOR,
            target_hash=id_,
            work={"conversations": ids, "before": before.isoformat()},
            steps=OF_RETENTION,
        )
        await self._journal.write(partial(erasures.add, request=new, now=now))
        await self._plan_clean_up(now + CLEAN_UP_AFTER)
        result = await self._eraser.run(id_)
        if result is None:
            row = await self._journal.read(partial(erasures.read, id_=id_))
            result = {} if row is None else row["steps"]["rows"].get("result", {})
        return int(result.get("conversations", 0))

    async def _clean_up(self, removed: Mapping[str, int]) -> None:
        """Words of what was deleted leave the search's index and the database's files."""
        if any(removed.get(kind) for kind in ("conversations", "files", "uploads")):
            await self._eraser.run(await self._plan_clean_up(self._world.now()))

    async def _plan_clean_up(self, next_at: datetime) -> str:
        """Keep that it is to be done, also if this process is killed before; the request's id."""
        new = NewRequest(
            id=self._world.new_id(),
            kind="retention",
            actor=ACTOR,
            target_hash=CLEAN_UP,
            work={"conversations": []},
            steps=AFTER_RETENTION,
        )

        def plan(connection: Connection) -> str:
            id_ = erasures.add(connection, request=new, now=next_at)
            erasures.postpone(connection, id_=id_, next_at=next_at)
            return id_

        return await self._journal.write(plan)

    async def _keep(self) -> None:
        # A start has other things to do.
        await asyncio.sleep(FIRST_LOOK_S)
        while True:
            try:
                await self.run(daily=True)
            except (StorageError, TimeoutError) as error:
                logger.warning("retention not applied", extra={"error": str(error)})
            except Exception:
                logger.exception("retention not applied")
            await asyncio.sleep(LOOK_S)
