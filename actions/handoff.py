"""Handing a conversation to a person, and offering to."""

import logging
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.clock import Clock, people_are_in
from actions.turn import Turn, read_turn

log = logging.getLogger(__name__)

FAILURES_UNTIL_HANDOFF = 2
ASK_PERSON = {"title": "Talk to a person", "payload": "/ask_human"}

_PERSON_NOW = "A colleague will join this chat in a moment and can read what we wrote."
_PERSON_LATER = (
    "Our people are back in the chat Mon-Sat from 8:00 to 20:00 and Sunday from 10:00 to 16:00 "
    "(UK time). A colleague will answer here then; you need not repeat anything."
)
_FIRST = {
    "asked": "Of course.",
    "emotion": "I'm sorry about all this; a person should look at it.",
    "repeated_failure": "I'm not getting anywhere with this, so I'll bring in a person.",
    "no_answer": "I don't have an answer to that, so I'll bring in a person.",
    "business_rule": "A colleague has to arrange this.",
}


def hand_off(
    dispatcher: CollectingDispatcher, reason: str, clock: Clock, *, first: str | None = None
) -> list[EventType]:
    """Tells the customer that a person takes over, and marks the conversation for one.

    reason: asked, emotion, repeated_failure, no_answer or business_rule.
    """
    after = _PERSON_NOW if people_are_in(clock()) else _PERSON_LATER
    dispatcher.utter_message(text=f"{first or _FIRST[reason]} {after}", handoff={"reason": reason})
    log.info("handoff reason=%s", reason)
    return [SlotSet("handoff", "waiting"), SlotSet("failures", 0)]


def offer_person(dispatcher: CollectingDispatcher, text: str) -> list[EventType]:
    """Asks whether a person should take over; "yes" and "no" are understood for one message."""
    dispatcher.utter_message(
        text=text,
        buttons=[
            {"title": "Yes, please", "payload": "/affirm"},
            {"title": "No, thanks", "payload": "/deny"},
        ],
    )
    return [SlotSet("handoff", "offered")]


def offer_withdrawn(turn: Turn) -> list[EventType]:
    """An offer of a person stands for one message only."""
    return [SlotSet("handoff", None)] if turn.slots.get("handoff") == "offered" else []


class HandOff(Action):  # type: ignore[misc]
    """Brings in a person, for the reason the conversation shows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def name(self) -> str:
        """The name in Rasa's domain."""
        return "action_handoff"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Says so and marks the conversation."""
        turn = read_turn(tracker)
        first = _FIRST["asked"] if turn.intent == "affirm" else None  # the offer was taken
        return hand_off(dispatcher, _reason(turn), self._clock, first=first)


class OfferHandOff(Action):  # type: ignore[misc]
    """Offers a person; at the second failure in a row brings one in without asking."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def name(self) -> str:
        """The name in Rasa's domain."""
        return "action_offer_handoff"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Asks, or hands off."""
        turn = read_turn(tracker)
        failed = turn.intent == "nlu_fallback"
        if failed and turn.failures + 1 >= FAILURES_UNTIL_HANDOFF:
            return hand_off(dispatcher, "repeated_failure", self._clock)
        events = offer_person(dispatcher, "Would you like a person to take over?")
        return [*events, SlotSet("failures", turn.failures + 1)] if failed else events


def _reason(turn: Turn) -> str:
    if turn.intent == "ask_human":
        return "asked"
    if turn.failures >= FAILURES_UNTIL_HANDOFF:
        return "repeated_failure"
    if turn.intent == "affirm":  # the customer took an offer
        return "no_answer" if turn.failures else "asked"
    return "emotion" if turn.emotion == "angry" else "asked"
