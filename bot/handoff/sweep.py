"""Looks after those who wait: where they stand, that they are not forgotten, and an end to it.

All of it is worked out from the database and done under the conversation's lock, so it survives
restarts, and of several gateways that look at the same time one acts.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from bot.errors import RequestError, StorageError
from bot.handoff import states
from bot.handoff.desk import Desk
from bot.log import handoff
from bot.log.handoff import Row, Step
from bot.log.journal import Journal
from bot.push import AGENTS, Event
from bot.world import World

logger = logging.getLogger(__name__)

ACTOR = "gateway"


class Sweep:
    """Runs from time to time, and at once when the queue has changed."""

    def __init__(self, journal: Journal, desk: Desk, world: World) -> None:
        self._journal = journal
        self._desk = desk
        self._world = world
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unwatch: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to look."""
        self._unwatch = self._journal.hub.watch(AGENTS, self._hear)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop looking."""
        self._unwatch()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def once(self) -> None:
        """Look once; raises StorageError or TimeoutError."""
        policy = self._desk.policy
        now = self._world.now()
        waiting = await self._journal.read(
            lambda connection: handoff.queue(connection, upset_first=policy.upset_first)
        )
        for place, row in enumerate(waiting, 1):
            if policy.wait_s and self._waited_s(row, now) >= policy.wait_s:
                await self._give_up(row, now)
            elif row["queue_told"] is None or self._is_news(row, place, now):
                await self._tell(row, now)
        for row in await self._journal.read(handoff.left_by_agent):
            await self._put_back_left(row)
        for row, since in await self._journal.read(handoff.unanswered_by_agent):
            if policy.idle_s and (now - since).total_seconds() >= policy.idle_s:
                await self._put_back_silent(row, now)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self.once()
            except (StorageError, TimeoutError) as error:
                logger.warning("queue not looked after", extra={"error": str(error)})
            except Exception:
                # A fault of ours with one conversation must not stop the looking.
                logger.exception("queue not looked after")
            try:
                async with asyncio.timeout(self._desk.policy.sweep_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _hear(self, topic: str, event: Event) -> None:
        if event["type"] == "queue":
            self._changed.set()

    def _waited_s(self, row: Row, now: datetime) -> float:
        """How long people could have come and did not."""
        return self._desk.policy.hours.open_s(row["waiting_since"] or row["updated_at"], now)

    def _is_news(self, row: Row, place: int, now: datetime) -> bool:
        """Whether a customer on a messaging platform should hear of another place."""
        every_s = self._desk.policy.position_every_s
        return (
            every_s > 0
            and row["channel"] in self._journal.sending
            and row["queue_told"] != place
            and (now - row["queue_told_at"]).total_seconds() >= every_s
        )

    async def _tell(self, seen: Row, now: datetime) -> None:
        desk = self._desk
        is_open = desk.policy.hours.is_open(now)

        def decide(connection: Connection, row: Row) -> states.Changes | None:
            if row["status"] != "waiting" or row["queue_told_at"] != seen["queue_told_at"]:
                return None
            return {"queue_told": desk.place(connection, row), "queue_told_at": now}

        await self._do(
            Step(
                conversation_id=seen["id"],
                decide=decide,
                # Outside opening hours they have heard when people are back, which says more.
                say=lambda _, row: (
                    [desk.notices(row).position(row["queue_told"])] if is_open else []
                ),
            )
        )

    async def _give_up(self, seen: Row, now: datetime) -> None:
        desk = self._desk

        def decide(_: Connection, row: Row) -> states.Changes | None:
            if row["waiting_since"] != seen["waiting_since"]:
                return None
            return states.end(
                row,
                "give_up",
                outcome=states.NOBODY_CAME,
                event_id=self._world.new_id(),
                now=now,
            )

        await self._do(
            Step(
                conversation_id=seen["id"],
                decide=decide,
                say=lambda _, row: [desk.notices(row).nobody_came()],
                trace=desk.trace(ACTOR, "give_up"),
            )
        )
        await desk.tell_places()

    async def _put_back_left(self, seen: Row) -> None:
        def may(connection: Connection, row: Row) -> bool:
            return bool(handoff.left_by_agent(connection, conversation_id=row["id"]))

        await self._put_back(seen, may)

    async def _put_back_silent(self, seen: Row, now: datetime) -> None:
        def may(connection: Connection, row: Row) -> bool:
            if row["taken_at"] != seen["taken_at"]:
                return False
            found = handoff.unanswered_by_agent(connection, conversation_id=row["id"])
            idle_s = self._desk.policy.idle_s
            return any((now - since).total_seconds() >= idle_s for _, since in found)

        await self._put_back(seen, may)

    async def _put_back(self, seen: Row, may: Callable[[Connection, Row], bool]) -> None:
        try:
            await self._desk.put_back(seen["id"], "fall_silent", may, ACTOR)
        except RequestError:
            logger.debug("erased meanwhile", extra={"conversation": seen["id"]})

    async def _do(self, step: Step) -> None:
        try:
            await self._desk.step(step)
        except RequestError:
            logger.debug("erased meanwhile", extra={"conversation": step.conversation_id})
