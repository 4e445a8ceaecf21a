"""What is said when a message was not understood: first a choice, then a person."""

import logging
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.answer import choice_button
from actions.errors import ActionsError
from actions.handoff import ASK_PERSON, People, hand_off
from actions.qa.live import Findings, QaSearch
from actions.sympathy import with_acknowledgement
from actions.turn import Turn, read_turn

log = logging.getLogger(__name__)

INTENT_CHOICES, QUESTION_CHOICES = 2, 2

# Only what a button can start on its own: a question needs its words, so it is offered by the
# QA store's own wording instead.
TITLES = {
    "track_order": "Where is my order?",
    "cancel_order": "Cancel an order",
    "return_order": "Return something",
    "change_address": "Change a delivery address",
    "ask_help": "What can you do?",
}


class AskAffirmation(Action):  # type: ignore[misc]
    """Offers what the message may have meant; Rasa's two-stage fallback calls it."""

    def __init__(self, search: QaSearch) -> None:
        self._search = search

    def name(self) -> str:
        """The name in Rasa's domain."""
        return "action_default_ask_affirmation"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Shows likely jobs and the closest questions as buttons."""
        turn = read_turn(tracker)
        findings = await self._find(turn)
        hits = findings.offered[:QUESTION_CHOICES] if findings else []
        jobs = [name for name in turn.ranking[:4] if name in TITLES][:INTENT_CHOICES]
        likely = bool(hits or jobs)
        if not likely:
            jobs = ["track_order", "return_order"]
        text = "I'm not sure I understood. Do you mean one of these?"
        if not likely:
            text = "Sorry, I didn't understand that. I can help with these, for example:"
        # Rasa's two-stage fallback takes this intent as "no" and asks for other words.
        buttons = [{"title": TITLES[name], "payload": f"/{name}"} for name in jobs]
        buttons += [choice_button(hit.pair) for hit in hits]
        buttons.append({"title": "None of these", "payload": "/out_of_scope"})
        if not turn.waiting:
            buttons.append(ASK_PERSON)
        offered = [{"id": hit.pair.id, "score": round(hit.score, 4)} for hit in hits]
        dispatcher.utter_message(
            text=with_acknowledgement(turn, text), buttons=buttons, qa_offered=offered
        )
        return [SlotSet("failures", turn.failures + 1)]

    async def _find(self, turn: Turn) -> Findings | None:
        if turn.is_payload or not turn.text.strip():
            return None
        try:
            return await self._search.find(turn.text)
        except ActionsError as error:
            log.warning("qa_search_failed reason=%s", type(error).__name__)
            return None


class DefaultFallback(Action):  # type: ignore[misc]
    """Brings in a person when nothing else helped."""

    def __init__(self, people: People) -> None:
        self._people = people

    def name(self) -> str:
        """The name in Rasa's domain."""
        return "action_default_fallback"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Hands off."""
        return hand_off(dispatcher, read_turn(tracker), self._people, "repeated_failure")
