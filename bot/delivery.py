"""Brings every accepted message through its turn: in order, once, and through outages."""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from bot import outcome
from bot.errors import StorageError, TurnRefused, TurnUnavailable
from bot.log.journal import Journal
from bot.log.records import Accepted, Finish, Finished, Reply, TurnRecord
from bot.redaction import Redactor
from bot.turns import Dialogue, TurnRequest, Understanding
from bot.world import World

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often a turn is tried, how much may wait, and what is said at the end."""

    retry_for_s: float = 120.0
    first_delay_s: float = 0.1
    max_delay_s: float = 5.0
    concurrency: int = 64
    max_pending: int = 2000
    max_pending_per_conversation: int = 100
    apology: str = "Sorry, something went wrong on our side. Please try again in a few minutes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The processes that a turn needs."""

    dialogue: Dialogue
    understanding: Understanding


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A turn that is on disk, and what it was: the parse is that of the customer's own words."""

    finished: Finished
    work: Finish
    parse: dict[str, Any]
    timings: dict[str, float]


@dataclass(slots=True, kw_only=True)
class Job:
    """An accepted message on its way; `done` resolves when its turn is on disk, with None when
    its conversation was erased."""

    accepted: Accepted
    done: asyncio.Future[Turned | None]
    accept_ms: float
    queued_s: float = field(default_factory=time.perf_counter)


class Delivery:
    """One worker for each conversation that has something to answer."""

    def __init__(
        self,
        journal: Journal,
        services: Services,
        redactor: Redactor,
        patience: Patience,
        world: World,
    ) -> None:
        self._journal = journal
        self._services = services
        self._redactor = redactor
        self._patience = patience
        self._world = world
        self._slots = asyncio.Semaphore(patience.concurrency)
        self._queues: dict[str, deque[Job]] = {}
        self._jobs: dict[str, Job] = {}
        self._workers: set[asyncio.Task[None]] = set()
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
        """Drive again what an earlier process accepted and did not answer."""
        left = await self._journal.unanswered()
        for accepted in left:
            self.enqueue(accepted)
        if left:
            logger.info("resumed", extra={"messages": len(left)})
        return len(left)

    async def drain(self, timeout_s: float) -> int:
        """Wait until all is answered; returns how many were left for the next start."""
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

    async def _work(self, conversation_id: str) -> None:
        queue = self._queues[conversation_id]
        while queue:
            job = queue[0]
            try:
                turned = await self._drive(job)
            except Exception as error:
                # A fault of ours: this message stays accepted and the next start tries it again.
                logger.exception("turn lost its way", extra={"message": job.accepted.id})
                if not job.done.done():
                    job.done.set_exception(error)
                    # Whoever waits hears of it; with nobody waiting the log has said it.
                    job.done.exception()
            else:
                if not job.done.done():
                    job.done.set_result(turned)
            queue.popleft()
            del self._jobs[job.accepted.id]
        del self._queues[conversation_id]
        if not self._jobs:
            self._idle.set()

    async def _drive(self, job: Job) -> Turned | None:
        started_s = time.perf_counter()
        timings = {
            "accept": round(job.accept_ms, 2),
            "wait": round((started_s - job.queued_s) * 1000, 2),
        }
        if job.accepted.status == "agent":
            work, parse = await self._listen(job.accepted)
        else:
            work, parse = await self._answer(job.accepted, timings)
        turned_s = time.perf_counter()
        timings["turn"] = round((turned_s - started_s) * 1000, 2)
        # The row cannot know how long its own commit takes: its total ends before.
        stored = timings | {"total": _total_ms(job, turned_s)}
        work = replace(work, turn=replace(work.turn, timings=stored))
        finished = await self._commit(work)
        if finished is None:
            logger.info("conversation erased meanwhile", extra={"message": job.accepted.id})
            return None
        committed_s = time.perf_counter()
        timings["commit"] = round((committed_s - turned_s) * 1000, 2)
        timings["total"] = _total_ms(job, committed_s)
        logger.debug("turn", extra={"turn": finished.turn_id, "state": finished.state})
        return Turned(finished=finished, work=work, parse=parse, timings=timings)

    async def _answer(
        self, accepted: Accepted, timings: dict[str, float]
    ) -> tuple[Finish, dict[str, Any]]:
        """Have the dialogue do the turn; after too long, apologise and say so in the log."""
        try:
            answer = await self._turn(accepted)
            replies = outcome.read_replies(answer, self._world.new_id)
            record = self._record(accepted, answer, replies)
            timings |= outcome.read_timings(answer)
        except (TurnUnavailable, TurnRefused) as error:
            logger.error("turn failed", extra={"turn_of": accepted.id, "error": str(error)})
            return self._apologise(accepted, str(error)), {}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # An answer of another shape than agreed must not stop the conversation.
            logger.exception("turn not understood", extra={"turn_of": accepted.id})
            return (
                self._apologise(accepted, f"dialogue: answered in another form ({error})"),
                {},
            )
        work = Finish(
            accepted=accepted,
            state="answered",
            turn=record,
            replies=replies,
            handoff_reason=outcome.handoff_reason(replies),
        )
        return work, answer["parse"]

    def _apologise(self, accepted: Accepted, error: str) -> Finish:
        replies = [Reply(id=self._world.new_id(), text=self._patience.apology)]
        record = replace(self._record(accepted, {}, replies), error=error)
        return Finish(accepted=accepted, state="failed", turn=record, replies=replies)

    async def _listen(self, accepted: Accepted) -> tuple[Finish, dict[str, Any]]:
        """An agent holds the conversation: understand the message for the log, say nothing."""
        error = None
        try:
            parse = await self._services.understanding.parse(accepted.inbound.text)
        except TurnUnavailable as unavailable:
            parse, error = {}, str(unavailable)
        record = replace(self._record(accepted, {"parse": parse}, []), error=error)
        return Finish(accepted=accepted, state="answered", turn=record, replies=[]), parse

    def _record(
        self, accepted: Accepted, answer: dict[str, Any], replies: list[Reply]
    ) -> TurnRecord:
        return outcome.record_turn(
            id_=self._world.new_id(),
            text=accepted.inbound.text,
            answer=answer,
            replies=replies,
            redactor=self._redactor,
        )

    async def _turn(self, accepted: Accepted) -> dict[str, Any]:
        inbound = accepted.inbound
        request = TurnRequest(
            conversation_id=inbound.conversation_id,
            message_id=accepted.id,
            text=inbound.text,
            channel=inbound.channel,
            literal=await self._is_literal(accepted),
        )
        give_up_s = time.monotonic() + self._patience.retry_for_s
        delay_s = self._patience.first_delay_s
        while True:
            try:
                async with self._slots:
                    return await self._services.dialogue.turn(request)
            except TurnUnavailable as error:
                if time.monotonic() + delay_s > give_up_s:
                    raise
                logger.warning("turn retried", extra={"turn_of": accepted.id, "error": str(error)})
            # Full jitter: conversations that failed together do not come back together.
            await self._world.sleep(self._world.chance.uniform(delay_s / 2, delay_s))
            delay_s = min(delay_s * 2, self._patience.max_delay_s)

    async def _is_literal(self, accepted: Accepted) -> bool:
        """Whether a text that begins with "/" is the customer's own and no button of the bot's."""
        text = accepted.inbound.text
        if not text.lstrip().startswith("/"):
            return False
        delay_s = self._patience.first_delay_s
        while True:
            try:
                offered = await self._journal.offered_payloads(accepted.inbound.conversation_id)
                return text not in offered
            except (StorageError, TimeoutError):
                await self._world.sleep(delay_s)
                delay_s = min(delay_s * 2, self._patience.max_delay_s)

    async def _commit(self, work: Finish) -> Finished | None:
        """Commit the turn; a full disk or a database restart holds it up but does not lose it."""
        delay_s = self._patience.first_delay_s
        while True:
            try:
                return await self._journal.finish(work)
            except StorageError as error:
                logger.error("turn not stored", extra={"error": str(error)})
            await self._world.sleep(delay_s)
            delay_s = min(delay_s * 2, self._patience.max_delay_s)


def _total_ms(job: Job, now_s: float) -> float:
    """From the message's arrival until `now_s`."""
    return round(job.accept_ms + (now_s - job.queued_s) * 1000, 2)
