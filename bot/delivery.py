"""Brings every accepted message through its turn: in order, once, and through outages."""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby

from bot.errors import StorageError
from bot.locks import ConversationLocks
from bot.log.journal import Journal
from bot.log.records import Accepted, Finished
from bot.push import Event
from bot.turner import Patience, Turned, Turner
from bot.world import World

logger = logging.getLogger(__name__)

# How often, and from what age on, a gateway looks for what another one left behind.
SWEEP_S = 5.0
ORPHANED_S = 10.0
# Another gateway that answers says so, just before it lets go.
FIRST_LOCK_POLL_S = 0.02
LAST_LOCK_POLL_S = 0.5


@dataclass(slots=True, kw_only=True)
class Job:
    """An accepted message on its way; `done` resolves when its turn is on disk, with None when
    its conversation was erased."""

    accepted: Accepted
    done: asyncio.Future[Turned | Finished | None]
    accept_ms: float
    queued_s: float = field(default_factory=time.perf_counter)


class Delivery:
    """One worker for each conversation that has something to answer."""

    def __init__(
        self,
        journal: Journal,
        turner: Turner,
        locks: ConversationLocks,
        patience: Patience,
        world: World,
    ) -> None:
        self._journal = journal
        self._turner = turner
        self._locks = locks
        self._patience = patience
        self._world = world
        self._queues: dict[str, deque[Job]] = {}
        self._jobs: dict[str, Job] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def pending(self) -> int:
        """How many messages are accepted and not answered."""
        return len(self._jobs)

    def has_room(self, conversation_id: str) -> bool:
        """Whether one more message may be accepted now."""
        queue = self._queues.get(conversation_id)
        return self.pending < self._patience.max_pending and (
            queue is None or len(queue) < self._patience.max_pending_per_conversation
        )

    def enqueue(self, accepted: Accepted, accept_ms: float = 0.0) -> Job:
        """Drive an accepted message after those before it in its conversation.

        Call it in the order of `seq`; a message that is under way already is not driven twice.
        """
        earlier = self._jobs.get(accepted.id)
        if earlier is not None:
            return earlier
        job = Job(
            accepted=accepted,
            done=asyncio.get_running_loop().create_future(),
            accept_ms=accept_ms,
        )
        if self._closed:
            # It is on disk: the next start drives it.
            job.done.cancel()
            return job
        self._jobs[accepted.id] = job
        self._idle.clear()
        conversation_id = accepted.inbound.conversation_id
        queue = self._queues.get(conversation_id)
        if queue is None:
            self._queues[conversation_id] = deque([job])
            worker = asyncio.create_task(self._work(conversation_id))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        else:
            queue.append(job)
        return job

    def job(self, message_row: str) -> Job | None:
        """The job of a message that is under way."""
        return self._jobs.get(message_row)

    async def resume(self) -> int:
        """Drive again what an earlier process accepted and did not answer.

        With other gateways on the same database: what none of them drives, now and from time to
        time from now on.
        """
        if self._locks.shared:
            self._sweeper = asyncio.create_task(self._sweep_on())
            return await self._sweep(0)
        left = await self._journal.unanswered()
        for accepted in left:
            self.enqueue(accepted)
        if left:
            logger.info("resumed", extra={"messages": len(left)})
        return len(left)

    async def drain(self, timeout_s: float) -> int:
        """Wait until all is answered; returns how many were left for the next start."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("drain timed out", extra={"pending": self.pending})
        left = self.pending
        for worker in list(self._workers):
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        return left

    async def close(self) -> None:
        """Stop at once and drive nothing any more."""
        self._closed = True
        await self.drain(0)

    async def _work(self, conversation_id: str) -> None:
        queue = self._queues[conversation_id]
        locked = False
        try:
            await self._lock(conversation_id)
            locked = True
            while queue:
                job = queue[0]
                try:
                    turned = await self._drive(job)
                except Exception as error:
                    # A fault of ours: the message stays accepted, the next start tries it again.
                    logger.exception("turn lost its way", extra={"turn_of": job.accepted.id})
                    if not job.done.done():
                        job.done.set_exception(error)
                        # Whoever waits hears of it; with nobody waiting the log has said it.
                        job.done.exception()
                else:
                    if not job.done.done():
                        job.done.set_result(turned)
                queue.popleft()
                del self._jobs[job.accepted.id]
        finally:
            del self._queues[conversation_id]
            if locked:
                self._locks.give(conversation_id)
            for job in queue:
                # Cut off: not under way any more, so that it can be driven again.
                del self._jobs[job.accepted.id]
                job.done.cancel()
            if not self._jobs:
                self._idle.set()

    async def _drive(self, job: Job) -> Turned | Finished | None:
        accepted = job.accepted
        if not self._locks.shared:
            return await self._turner.turn(accepted, job.queued_s, job.accept_ms)
        # Other gateways accept messages of the same conversation: what came before goes first.
        turned: Turned | Finished | None = None
        due = await self._due(accepted)
        for one in due:
            turned = await self._turner.turn(one, job.queued_s, job.accept_ms)
        if due and due[-1].id == accepted.id:
            return turned
        return await self._journal.finished(accepted.id)

    async def _due(self, accepted: Accepted) -> list[Accepted]:
        while True:
            try:
                return await self._journal.unanswered_in(
                    accepted.inbound.conversation_id, through=accepted.seq
                )
            except (StorageError, TimeoutError) as error:
                logger.error("database does not answer", extra={"error": str(error)})
                await self._world.sleep(self._patience.max_delay_s)

    async def _lock(self, conversation_id: str) -> None:
        """Wait until this gateway has the conversation's lock."""
        if not self._locks.shared:
            return
        freed = asyncio.Event()

        def on_event(topic: str, event: Event) -> None:
            freed.set()

        unwatch = self._journal.hub.watch(conversation_id, on_event)
        poll_s = FIRST_LOCK_POLL_S
        try:
            while not await self._try_lock(conversation_id):
                try:
                    async with asyncio.timeout(poll_s):
                        await freed.wait()
                    poll_s = FIRST_LOCK_POLL_S
                except TimeoutError:
                    poll_s = min(poll_s * 2, LAST_LOCK_POLL_S)
                freed.clear()
        finally:
            unwatch()

    async def _try_lock(self, conversation_id: str) -> bool:
        try:
            return await self._locks.take(conversation_id)
        except StorageError as error:
            logger.error("lock not taken", extra={"error": str(error)})
            return False

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._sweep(ORPHANED_S)
            except (StorageError, TimeoutError) as error:
                logger.warning("sweep failed", extra={"error": str(error)})
            except Exception:
                # Without it nobody would look after what another gateway leaves behind.
                logger.exception("sweep lost its way")

    async def _sweep(self, age_s: float) -> int:
        """Take over conversations whose gateway is gone: nobody holds their lock."""
        before = self._world.now() - timedelta(seconds=age_s)
        left = await self._journal.unanswered(before=before)
        taken = 0
        for conversation_id, messages in groupby(left, key=lambda one: one.inbound.conversation_id):
            if conversation_id in self._queues or self.pending >= self._patience.max_pending:
                continue
            # Free: no gateway is at work on it. The worker takes it again when it starts.
            if await self._try_lock(conversation_id):
                self._locks.give(conversation_id)
                for accepted in messages:
                    self.enqueue(accepted)
                    taken += 1
        if taken:
            logger.info("took over", extra={"messages": taken})
        return taken
