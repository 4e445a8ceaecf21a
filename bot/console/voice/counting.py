"""Keeps the figures by day up to the log, one gateway at a time."""

import logging
from datetime import date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.log import voice_changes, voice_state
from bot.log.journal import Journal
from bot.log.voice_count import count_day, next_month
from bot.log.voice_state import Holder, Plan
from bot.world import World

logger = logging.getLogger(__name__)

# What was at work at midnight may commit a little later.
_GRACE = timedelta(hours=1)


class Counting:
    """Counts what changed: today and yesterday each time, and the days that are marked.

    A day is counted anew as a whole, so that counting it twice changes nothing. The gateway that
    does it holds a lease, which every write checks.
    """

    def __init__(self, journal: Journal, zone: ZoneInfo, world: World) -> None:
        self._journal = journal
        self._world = world
        self.zone = zone
        self._id = world.new_id()

    async def once(self) -> bool:
        """Count what is due; False where another gateway is at it. Raises StorageError."""
        now = self._world.now()
        holder = Holder(id=self._id, now=now)
        if not await self._journal.write(partial(voice_state.claim, holder=holder)):
            return False
        try:
            return await self._count(holder)
        finally:
            await self._journal.write(partial(voice_state.release, holder=holder))

    async def _count(self, holder: Holder) -> bool:
        state = await self._journal.browse(voice_state.state)
        if state.zone != self.zone.key:
            again = partial(voice_state.start_again, holder=holder, zone=self.zone.key)
            if not await self._journal.write(again):
                return False
        plan = await self._journal.browse(partial(self._plan, now=holder.now))
        counted_to = self._day(holder.now - _GRACE) - timedelta(days=1)
        for day in plan.days:
            # The lease goes on from the moment at hand, however long the whole takes.
            holder = Holder(id=self._id, now=self._world.now())
            count = partial(count_day, day=day, zone=self.zone, now=holder.now)
            counted = await self._journal.browse(count)
            keep = partial(voice_state.replace_day, holder=holder, counted=counted)
            if not await self._journal.write(keep):
                return False
        for month in sorted({day.replace(day=1) for day in plan.days}):
            if next_month(month) <= counted_to:
                add_up = partial(voice_state.replace_month, holder=holder, month=month)
                if not await self._journal.write(add_up):
                    return False
        finish = partial(voice_state.finish, holder=holder, counted_to=counted_to, marks=plan.marks)
        done = await self._journal.write(finish)
        if done and len(plan.days) > 2:
            logger.info("days counted", extra={"days": len(plan.days)})
        return done

    def _plan(self, connection: Connection, *, now: datetime) -> Plan:
        state = voice_state.state(connection)
        marks = voice_changes.pending(connection)
        today = self._day(now)
        oldest = voice_state.first_turn(connection)
        since = state.counted_to or today
        if oldest is not None and not (
            state.counted_to and voice_state.knows(connection, day=self._day(oldest))
        ):
            # Nothing was counted yet, or older turns were brought in since.
            since = min(since, self._day(oldest))
        days = {since + timedelta(days=n) for n in range((today - since).days + 1)} | {today}
        for moment in marks.values():
            day = self._day(moment)
            # A contact that ended the day before may have ended otherwise than it seemed, and one
            # that began the day after may not have begun then.
            days |= {day + timedelta(days=n) for n in (-1, 0, 1)}
        first = state.frozen_before or date.min
        return Plan(days=sorted(day for day in days if first <= day <= today), marks=list(marks))

    def _day(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()
