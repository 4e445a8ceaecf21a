"""A person has handed a conversation back: the tracker learns it as a turn without words.

`POST /webhooks/turn/hand-back`, idempotent by event id. What was waited for or asked for when the
person came is over: the handoff, an offer, a form, the count of failures. The slot
`handoff_outcome` tells rules what came of it, and `handoff_rest` for how many of the customer's
messages it does so; within them the bot calls nobody by itself.
"""

from dataclasses import dataclass
from typing import Any

from rasa.core.channels.channel import OutputChannel

from bot.dialogue.errors import BadTurn
from bot.dialogue.hand_back_events import hand_back_events
from bot.dialogue.turn_processor import TurnAgent
from bot.dialogue.turn_request import LONGEST_ID, read_fields, read_text

LONGEST_OUTCOME = 100
EVENT_PREFIX = "hand-back:"  # keeps event ids apart from message ids in the turn table


@dataclass(frozen=True, slots=True, kw_only=True)
class HandBack:
    """What the gateway says of a hand-back; `slots` are set last."""

    conversation_id: str
    event_id: str
    outcome: str
    slots: dict[str, Any]


def read_hand_back(body: bytes) -> HandBack:
    """Parse and check a request body. Raises BadTurn naming the field."""
    fields = read_fields(body)
    slots = fields.get("slots", {})
    if not isinstance(slots, dict):
        raise BadTurn("slots", "must be an object")
    return HandBack(
        conversation_id=read_text(fields, "conversation_id", LONGEST_ID),
        event_id=read_text(fields, "event_id", LONGEST_ID),
        outcome=read_text(fields, "outcome", LONGEST_OUTCOME),
        slots=slots,
    )


async def take_hand_back(
    request: HandBack, agent: TurnAgent, channel: OutputChannel
) -> dict[str, Any]:
    """Append the events to the conversation, once. Raises DialogueError."""
    known = {slot.name for slot in agent.domain.slots}
    for name in request.slots:
        if name not in known:
            raise BadTurn(f"slots.{name}", "is no slot of the domain")
    store = agent.tracker_store
    key = EVENT_PREFIX + request.event_id
    async with agent.lock_store.lock(request.conversation_id):
        conversation = await store.conversation(request.conversation_id)
        if key in conversation.answered:
            return {"event_id": request.event_id, "duplicate": True}
        tracker = conversation.tracker
        try:
            if not tracker.events:
                # The person came before the bot had heard a word: the conversation begins here.
                await agent.processor._update_tracker_session(tracker, channel)
            for event in hand_back_events(tracker, request.outcome, request.slots):
                tracker.update(event, agent.domain)
            await store.commit(conversation, message_id=key)
        except BaseException:
            store.forget(request.conversation_id)
            raise
    return {"event_id": request.event_id, "duplicate": False}
