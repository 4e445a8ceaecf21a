"""Handing a conversation to a person, and offering to."""

import logging
from dataclasses import dataclass
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.clock import Clock
from actions.hours import Hours
from actions.turn import Turn, read_turn

log = logging.getLogger(__name__)

FAILURES_UNTIL_HANDOFF = 2
ASK_PERSON = {"title": "Talk to a person", "payload": "/ask_human"}

_PERSON_NOW = "A colleague will join this chat in a moment and can read what we wrote."
_PERSON_LATER = (
    "Our people are back in the chat {back}. A colleague will answer here then; you need not "
    "repeat anything."
)
_PERSON_SOME_TIME = "A colleague will answer here as soon as our people are back in the chat."
_NO_PERSON_NOW = "Our people are back in the chat {back}; please ask for one then."
_CALLED_ALREADY = "A colleague has been called and will answer here. Ask me anything meanwhile."
_STILL_NO_ANSWER = (
    "I'm afraid I can't help with that. Put it in other words, or call a person again if you wish."
)
_FIRST = {
    "asked": "Of course.",
    "emotion": "I'm sorry about all this; a person should look at it.",
    "repeated_failure": "I'm not getting anywhere with this, so I'll bring in a person.",
    "low_confidence": "I don't have an answer to that, so I'll bring in a person.",
    "business_rule": "A colleague has to arrange this.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """When people are in the chat, and whether customers may wait for them while they are not."""

    hours: Hours
    clock: Clock
    wait_when_closed: bool = True


def hand_off(
    dispatcher: CollectingDispatcher,
    turn: Turn,
    people: People,
    reason: str,
    *,
    first: str | None = None,
) -> list[EventType]:
    """Tells the customer that a person takes over, and marks the conversation for one.

    reason: asked, emotion, repeated_failure, low_confidence or business_rule. `first` are words
    that come before in any case. Who waits already is not announced again, and after a person has
    handed back, the bot's own failures call nobody for a while.
    """
    if turn.waiting:
        dispatcher.utter_message(text=f"{first or ''} {_CALLED_ALREADY}".strip())
        return [SlotSet("failures", 0)]
    if reason == "repeated_failure" and turn.resting:
        dispatcher.utter_message(text=_STILL_NO_ANSWER, buttons=[ASK_PERSON])
        return [SlotSet("failures", 0)]
    now = people.clock()
    back = people.hours.spoken_return(now)
    if people.hours.is_open(now):
        after = _PERSON_NOW
    elif not people.wait_when_closed:
        after = _NO_PERSON_NOW.format(back=back or "later")
        dispatcher.utter_message(text=f"{first} {after}" if first else after)
        return [*offer_withdrawn(turn), SlotSet("failures", 0)]
    else:
        after = _PERSON_LATER.format(back=back) if back else _PERSON_SOME_TIME
    dispatcher.utter_message(text=f"{first or _FIRST[reason]} {after}", handoff={"reason": reason})
    log.info("handoff reason=%s", reason)
    return [SlotSet("handoff", "waiting"), SlotSet("failures", 0)]


def offer_person(dispatcher: CollectingDispatcher, turn: Turn, text: str) -> list[EventType]:
    """Asks whether a person should take over; "yes" and "no" are understood for one message.

    Not while the customer waits for one, nor just after one has handed back.
    """
    if turn.waiting:
        dispatcher.utter_message(text=_CALLED_ALREADY)
        return []
    if turn.resting:
        dispatcher.utter_message(text=_STILL_NO_ANSWER, buttons=[ASK_PERSON])
        return []
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

    def __init__(self, people: People) -> None:
        self._people = people

    def name(self) -> str:
        """The name in Rasa's domain."""
        return "action_handoff"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Says so and marks the conversation."""
        turn = read_turn(tracker)
        first = None
        if turn.intent == "affirm" and not turn.waiting:  # the offer was taken
            first = _FIRST["asked"]
        return hand_off(dispatcher, turn, self._people, _reason(turn), first=first)


class OfferHandOff(Action):  # type: ignore[misc]
    """Offers a person; at the second failure in a row brings one in without asking."""

    def __init__(self, people: People) -> None:
        self._people = people

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
            return hand_off(dispatcher, turn, self._people, "repeated_failure")
        events = offer_person(dispatcher, turn, "Would you like a person to take over?")
        return [*events, SlotSet("failures", turn.failures + 1)] if failed else events


def _reason(turn: Turn) -> str:
    if turn.intent == "ask_human":
        return "asked"
    if turn.failures >= FAILURES_UNTIL_HANDOFF:
        return "repeated_failure"
    if turn.intent == "affirm" and turn.failures:  # the customer took an offer
        return "low_confidence"
    # Who says "yes please" to an offer is calm already: what it was made for was the anger before.
    is_angry = "angry" in (turn.emotion, turn.emotion_before if turn.intent == "affirm" else None)
    return "emotion" if is_angry else "asked"
