"""Does one customer message: understood, answered or only listened to, and committed once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from bot import outcome
from bot.errors import StorageError, TurnRefused, TurnUnavailable
from bot.log.journal import Journal
from bot.log.records import Accepted, Finish, Finished, Reply, TurnRecord
from bot.redaction import Redactor
from bot.turns import Dialogue, TurnRequest, Understanding
from bot.world import World

logger = logging.getLogger(__name__)

T = TypeVar("T")
Conversation = dict[str, Any]


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
    file_reply: str = "Thank you, your file is here. Please tell me in a few words what it shows."


class Attachments(Protocol):
    """Brings what a customer attached on a platform into our own store."""

    async def bring(self, accepted: Accepted) -> list[dict[str, Any]]:
        """The message's attachments as they are kept; what could not be had says so."""
        ...


class AttachmentsAsTheyAre:
    """For channels whose files are ours already."""

    async def bring(self, accepted: Accepted) -> list[dict[str, Any]]:
        """Nothing to bring."""
        return list(accepted.inbound.attachments)


async def nothing_pending(conversation: Conversation) -> None:
    """No hand-back waits to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a turn needs of the world behind the gateway."""

    dialogue: Dialogue
    understanding: Understanding
    attachments: Attachments = field(default_factory=AttachmentsAsTheyAre)
    # Told before a turn, so that the dialogue knows what an agent did meanwhile; may raise
    # TurnUnavailable.
    before_turn: Callable[[Conversation], Awaitable[None]] = nothing_pending
    # Channels whose buttons are numbered lines.
    numbered: Set[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A turn that is on disk, and what it was: the parse is that of the customer's own words."""

    finished: Finished
    work: Finish
    parse: dict[str, Any]
    timings: dict[str, float]


class Turner:
    """Takes an accepted message to its committed turn, through outages of all that it needs."""

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

    async def turn(self, accepted: Accepted, since_s: float, accept_ms: float) -> Turned | None:
        """Do the turn; None when the conversation was erased meanwhile.

        since_s: when the message came into the queue, on the performance counter.
        """
        started_s = time.perf_counter()
        timings = {
            "accept": round(accept_ms, 2),
            "wait": round((started_s - since_s) * 1000, 2),
        }
        conversation = await self._insist(
            lambda: self._journal.conversation(accepted.inbound.conversation_id)
        )
        if conversation is None:
            return None
        try:
            work, parse = await self._work(accepted, conversation, timings)
        except Exception as error:
            # A fault of ours must not stop the conversation.
            logger.exception("turn lost its way", extra={"turn_of": accepted.id})
            work, parse = self._apologise(accepted, f"gateway: {type(error).__name__}"), {}
        turned_s = time.perf_counter()
        timings["turn"] = round((turned_s - started_s) * 1000, 2)
        # The row cannot know how long its own commit takes: its total ends before.
        stored = timings | {"total": round(accept_ms + (turned_s - since_s) * 1000, 2)}
        work = replace(work, turn=replace(work.turn, timings=stored))
        finished = await self._commit(work)
        if finished is None:
            logger.info("conversation erased meanwhile", extra={"turn_of": accepted.id})
            return None
        committed_s = time.perf_counter()
        timings["commit"] = round((committed_s - turned_s) * 1000, 2)
        timings["total"] = round(accept_ms + (committed_s - since_s) * 1000, 2)
        logger.debug("turn", extra={"turn": finished.turn_id, "state": finished.state})
        return Turned(finished=finished, work=work, parse=parse, timings=timings)

    async def _work(
        self, accepted: Accepted, conversation: Conversation, timings: dict[str, float]
    ) -> tuple[Finish, dict[str, Any]]:
        files = None
        if accepted.inbound.attachments:
            files = await self._insist(lambda: self._services.attachments.bring(accepted))
        if conversation["status"] == "agent":
            work, parse = await self._listen(accepted)
        elif not accepted.inbound.text:
            work, parse = self._take_file(accepted), {}
        else:
            accepted, title, literal = await self._read_press(accepted)
            work, parse = await self._answer(accepted, conversation, timings, literal=literal)
            work = replace(work, title=title)
        return replace(work, attachments=files), parse

    async def _commit(self, work: Finish) -> Finished | None:
        """Keep the turn: a full disk or a database restart holds it up but does not lose it."""
        try:
            return await self._insist(lambda: self._journal.finish(work))
        except Exception as error:
            # Nothing that can be kept, such as NUL in an answer: the customer is told instead.
            logger.exception("turn not kept", extra={"turn_of": work.accepted.id})
            apology = self._apologise(work.accepted, f"gateway: {type(error).__name__}")
        return await self._insist(lambda: self._journal.finish(apology))

    async def _answer(
        self,
        accepted: Accepted,
        conversation: Conversation,
        timings: dict[str, float],
        *,
        literal: bool,
    ) -> tuple[Finish, dict[str, Any]]:
        """Have the dialogue do the turn; after too long, apologise and say so in the log."""
        try:
            answer = await self._ask(accepted, conversation, literal=literal)
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
        replies = [Reply(id=self._world.new_id(), text=self._patience.apology, author="system")]
        record = replace(self._record(accepted, {}, replies), error=error)
        return Finish(accepted=accepted, state="failed", turn=record, replies=replies)

    def _take_file(self, accepted: Accepted) -> Finish:
        """A file without a word: say that it is here and ask what it is about."""
        replies = [Reply(id=self._world.new_id(), text=self._patience.file_reply, author="system")]
        record = self._record(accepted, {}, replies)
        return Finish(accepted=accepted, state="answered", turn=record, replies=replies)

    async def _listen(self, accepted: Accepted) -> tuple[Finish, dict[str, Any]]:
        """An agent holds the conversation: understand the message for the log, say nothing."""
        error = None
        parse: dict[str, Any] = {}
        if accepted.inbound.text:
            try:
                parse = await self._services.understanding.parse(accepted.inbound.text)
            except TurnUnavailable as unavailable:
                error = str(unavailable)
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

    async def _ask(
        self, accepted: Accepted, conversation: Conversation, *, literal: bool
    ) -> dict[str, Any]:
        inbound = accepted.inbound
        request = TurnRequest(
            conversation_id=inbound.conversation_id,
            message_id=accepted.id,
            text=inbound.text,
            channel=inbound.channel,
            literal=literal,
            waiting=conversation["status"] == "waiting",
        )
        give_up_s = time.monotonic() + self._patience.retry_for_s
        delay_s = self._patience.first_delay_s
        while True:
            try:
                async with self._slots:
                    await self._services.before_turn(conversation)
                    return await self._services.dialogue.turn(request)
            except TurnUnavailable as error:
                if time.monotonic() + delay_s > give_up_s:
                    raise
                logger.warning("turn retried", extra={"turn_of": accepted.id, "error": str(error)})
            # Full jitter: conversations that failed together do not come back together.
            await self._world.sleep(self._world.chance.uniform(delay_s / 2, delay_s))
            delay_s = min(delay_s * 2, self._patience.max_delay_s)

    async def _read_press(self, accepted: Accepted) -> tuple[Accepted, str | None, bool]:
        """The message with a pressed button's payload as its text, the button's title, and whether
        a text that begins with "/" is the customer's own words."""
        inbound = accepted.inbound
        numbered = inbound.channel in self._services.numbered
        slashed = inbound.text.lstrip().startswith("/")
        if not (slashed or numbered):
            return accepted, None, False
        buttons = await self._insist(lambda: self._journal.offered_buttons(inbound.conversation_id))
        pressed = _pressed(inbound.text, buttons, numbered=numbered)
        if pressed is None:
            return accepted, None, slashed
        text = str(pressed["payload"])
        title = str(pressed.get("title") or text)
        return replace(accepted, inbound=replace(inbound, text=text)), title, False

    async def _insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Try until the database answers."""
        delay_s = self._patience.first_delay_s
        while True:
            try:
                return await act()
            except (StorageError, TimeoutError) as error:
                logger.error("database does not answer", extra={"error": str(error)})
            await self._world.sleep(delay_s)
            delay_s = min(delay_s * 2, self._patience.max_delay_s)


def _pressed(text: str, buttons: list[dict[str, Any]], *, numbered: bool) -> dict[str, Any] | None:
    """The button that a text stands for: by payload, on numbered channels by number or title."""
    for button in buttons:
        if text == button["payload"]:
            return button
    if not numbered:
        return None
    said = text.strip().rstrip(".)").casefold()
    if said.isascii() and said.isdigit() and 1 <= int(said[:4]) <= len(buttons):
        return buttons[int(said[:4]) - 1]
    titled = [one for one in buttons if str(one.get("title") or "").casefold() == said]
    return titled[0] if len(titled) == 1 else None
