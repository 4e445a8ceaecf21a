"""Takes a message in: room for it, then on disk, then on its way, and only then acknowledged."""

import asyncio
import time

from bot.delivery import Delivery, Job
from bot.errors import RequestError
from bot.log.journal import Journal
from bot.log.records import Accepted, Finished, Inbound
from bot.tokens import Tokens
from bot.turner import Turned


class Intake:
    """What every channel hands its messages to."""

    def __init__(self, journal: Journal, delivery: Delivery, tokens: Tokens) -> None:
        self._journal = journal
        self._delivery = delivery
        self._tokens = tokens
        # Accepted is what is on disk; these are on their way there.
        self._entering = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self.closed = False

    async def take(self, inbound: Inbound) -> Accepted:
        """The message, kept and on its way (or as it was kept before).

        Raises RequestError: 404 without such a conversation, 422 for an id used with another text,
        429 or 503 when there is no room, and StorageError when the disk does not take it.
        """
        self.refuse_when_closed()
        if not self._delivery.has_room(inbound.conversation_id) or self._entering > 1000:
            raise RequestError(
                429,
                "messages",
                "too many messages wait for an answer",
                "send it again after the seconds in Retry-After",
                retry_after_s=2,
            )
        started_s = time.perf_counter()

        def on_disk(accepted: Accepted | None) -> None:
            # On the loop and in the order of the commits: the order of the conversation.
            if accepted is None or not accepted.same_text or accepted.state != "accepted":
                return
            # Also a repeated one: it may be one whose commit nobody heard of, under way to nowhere.
            accept_ms = (time.perf_counter() - started_s) * 1000
            self._delivery.enqueue(accepted, accept_ms)

        self._entering += 1
        self._settled.clear()
        try:
            # A client that hangs up must not take its message back half-way.
            accepted = await asyncio.shield(
                self._journal.accept(inbound, self._tokens.hash_text(_identity(inbound)), on_disk)
            )
        finally:
            self._entering -= 1
            if not self._entering:
                self._settled.set()
        if accepted is None:
            raise unknown_conversation()
        if not accepted.same_text:
            raise RequestError(
                422,
                "id",
                "this id was used for another text",
                "give every message an id of its own; repeat an id only with the same text",
            )
        return accepted

    async def wait(self, accepted: Accepted, timeout_s: float) -> Turned | Finished | None:
        """The answered turn; None when it is not there in time."""
        job = self._delivery.job(accepted.id)
        if job is not None:
            return await _wait_for(job, timeout_s)
        # Answered before, or between the commit and now.
        return await self._journal.finished(accepted.id)

    def refuse_when_closed(self) -> None:
        """Raise RequestError (503) while the gateway goes down."""
        if self.closed:
            raise RequestError(
                503,
                "gateway",
                "the gateway is going down and takes no new messages",
                "send it again after the seconds in Retry-After",
                retry_after_s=5,
            )

    async def settle(self) -> None:
        """Take nothing new and wait until what was on its way to the disk is there."""
        self.closed = True
        await self._settled.wait()


def _identity(inbound: Inbound) -> str:
    """What has to be the same for a message to be the same: its text and what hangs on it."""
    if not inbound.attachments:
        return inbound.text
    named = [str(one.get("id") or one.get("reference")) for one in inbound.attachments]
    return "\0".join([inbound.text, *named])


async def _wait_for(job: Job, timeout_s: float) -> Turned | Finished | None:
    try:
        async with asyncio.timeout(timeout_s):
            turned = await asyncio.shield(job.done)
    except TimeoutError:
        return None
    except asyncio.CancelledError:
        if not job.done.cancelled():
            raise
        # The gateway goes down: the next one answers it.
        return None
    if turned is None:
        raise unknown_conversation()
    return turned


def unknown_conversation() -> RequestError:
    """The refusal for an id that names no conversation."""
    return RequestError(
        404,
        "conversation_id",
        "there is no such conversation",
        "start one with POST /api/v1/conversations",
    )
