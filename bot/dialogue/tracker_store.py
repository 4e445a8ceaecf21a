"""The tracker store: live trackers in a bounded cache, one appended row a turn.

Rasa's SQLTrackerStore reads the whole conversation and commits several times a message. Here the
live tracker is the truth while it is cached; the table is read when it is not, and a failed turn
drops the live tracker, so that the next try begins from what was committed.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import deserialise_events
from rasa.shared.core.trackers import DialogueStateTracker
from sqlalchemy.exc import SQLAlchemyError

from bot.dialogue import turn_table
from bot.dialogue.conversation import WINDOW_TURNS, Conversation
from bot.dialogue.errors import ConversationErased, NotScrubbed, TurnNotSaved
from bot.dialogue.turn_table import Turn
from bot.dialogue.turn_writer import TurnWriter

LIVE_CONVERSATIONS = 2_000  # about 100 kB each
READ_TIMEOUT_S = 10.0

Read = TypeVar("Read")


class TurnTrackerStore(TrackerStore):
    """Rasa's tracker store interface over live conversations and the turn table."""

    def __init__(
        self,
        domain: Domain | None,
        event_broker: EventBroker | None = None,
        host: str = "",
        live_conversations: int = LIVE_CONVERSATIONS,
        **_: Any,
    ) -> None:
        """Open the database at `host`, the name that Rasa gives to the endpoint's `url`."""
        super().__init__(domain, event_broker)
        self._engine = turn_table.open_database(host)
        self._writer = TurnWriter(self._engine)
        self._readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="turn-reader")
        self._live: OrderedDict[str, Conversation] = OrderedDict()
        self._capacity = live_conversations
        self._erased = turn_table.erased_ids(self._engine)

    async def conversation(self, sender_id: str) -> Conversation:
        """The live conversation, loaded or begun when it is not in the cache.

        Raises ConversationErased.
        """
        if sender_id in self._erased:
            raise ConversationErased
        found = self._live.get(sender_id)
        if found is None:
            found = await self._read(lambda: self._load(sender_id))
            self._live[sender_id] = found
        self._live.move_to_end(sender_id)
        while len(self._live) > self._capacity:
            self._live.popitem(last=False)
        return found

    async def commit(
        self,
        conversation: Conversation,
        *,
        message_id: str | None = None,
        text: str | None = None,
        replies: list[dict[str, Any]] | None = None,
        parse: dict[str, Any] | None = None,
    ) -> Turn:
        """Append the conversation's new events as one turn.

        Raises TurnNotSaved, or ConversationErased.
        """
        if conversation.tracker.sender_id in self._erased:
            raise ConversationErased
        turn = Turn(
            conversation_id=conversation.tracker.sender_id,
            seq=conversation.seq + 1,
            message_id=message_id,
            text=text,
            events=[event.as_dict() for event in conversation.new_events()],
            replies=replies or [],
            parse=parse or {},
            snapshot=conversation.snapshot(),
        )
        await self._writer.append(turn)
        conversation.close_turn(turn)
        return turn

    def forget(self, sender_id: str) -> None:
        """Drop the live tracker; the next turn starts from what was committed."""
        self._live.pop(sender_id, None)

    def bury(self, sender_ids: Sequence[str]) -> None:
        """Take no turn of these conversations any more."""
        self._erased.update(sender_ids)

    async def erase(self, sender_ids: Sequence[str]) -> int:
        """Remove conversations that were buried and that nobody is at work on.

        Returns how many turns went. Raises NotScrubbed: then erase again.
        """
        for sender_id in sender_ids:
            self.forget(sender_id)
        loop = asyncio.get_running_loop()
        try:
            # Not among the reads: it waits for the disk, and may rebuild the file.
            count = await loop.run_in_executor(
                None, turn_table.delete_turns, self._engine, sender_ids
            )
            clean = await loop.run_in_executor(None, turn_table.scrub, self._engine)
        except SQLAlchemyError as error:
            raise NotScrubbed(type(error).__name__) from error
        if not clean:
            raise NotScrubbed("a reader is in the way")
        return count

    async def answered_turn(self, sender_id: str, message_id: str) -> Turn | None:
        """The stored turn of a message that was answered before."""
        conversation = await self.conversation(sender_id)
        if message_id not in conversation.answered:
            return None
        return await self._read(lambda: turn_table.find_turn(self._engine, sender_id, message_id))

    async def get_or_create_tracker(
        self,
        sender_id: str,
        max_event_history: int | None = None,
        append_action_listen: bool = True,
    ) -> DialogueStateTracker:
        """The live tracker. Rasa's processor never asks for the initial `action_listen`."""
        return (await self.conversation(sender_id)).tracker

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        """The live tracker, or nothing for an unknown conversation."""
        tracker = (await self.conversation(sender_id)).tracker
        return tracker if tracker.events else None

    async def retrieve_full_tracker(self, conversation_id: str) -> DialogueStateTracker | None:
        """A tracker with the whole history, from the table."""
        turns = await self._read(lambda: turn_table.last_turns(self._engine, conversation_id, None))
        events = [event for turn in turns for event in deserialise_events(turn.events)]
        if not events:
            return None
        return DialogueStateTracker.from_events(conversation_id, events, self.domain.slots)

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Append what is new; Rasa's other channels come this way."""
        conversation = await self.conversation(tracker.sender_id)
        if conversation.tracker is not tracker:
            raise TurnNotSaved("another turn of this conversation came between")
        if conversation.new_events():
            await self.commit(conversation)

    async def keys(self) -> Iterable[str]:
        """The ids of all stored conversations."""
        return await self._read(lambda: turn_table.conversation_ids(self._engine))

    async def check(self) -> None:
        """Read from the database; raises when it cannot be read."""
        await self._read(lambda: turn_table.find_turn(self._engine, "", ""))

    def close(self) -> None:
        """Write what is queued and close the database."""
        self._writer.close()
        self._readers.shutdown()
        self._engine.dispose()

    def _load(self, sender_id: str) -> Conversation:
        turns = turn_table.last_turns(self._engine, sender_id, WINDOW_TURNS + 1)
        if not turns:
            return Conversation(sender_id, self.domain)
        answered = turn_table.answered_messages(self._engine, sender_id)
        return Conversation.load(sender_id, self.domain, turns, answered)

    async def _read(self, read: Callable[[], Read]) -> Read:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.run_in_executor(self._readers, read), READ_TIMEOUT_S)
