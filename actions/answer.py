"""action_answer: answers from the QA store, offers a choice when unsure, else says so."""

import json
import logging
from collections.abc import Sequence
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.errors import ActionsError
from actions.handoff import (
    ASK_PERSON,
    FAILURES_UNTIL_HANDOFF,
    People,
    hand_off,
    offer_person,
    offer_withdrawn,
)
from actions.qa.calibration import OFFERED
from actions.qa.index import Hit
from actions.qa.live import QaSearch
from actions.qa.pairs import Pair
from actions.sympathy import with_acknowledgement
from actions.turn import Turn, read_turn

log = logging.getLogger(__name__)

NONE_OF_THESE = "none"  # the qa_id of the button below the offered questions
MAX_TITLE = 120


class Answer(Action):  # type: ignore[misc]
    """Answers the latest message from the QA store."""

    def __init__(self, search: QaSearch, people: People) -> None:
        self._search = search
        self._people = people

    def name(self) -> str:
        """The name in Rasa's domain."""
        return "action_answer"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Says something about the question, and keeps count of failures."""
        turn = read_turn(tracker)
        try:
            events = await self._respond(turn, dispatcher)
        except ActionsError as error:
            log.warning("qa_search_failed reason=%s", type(error).__name__)
            events = self._fail(turn, dispatcher)
        return [*events, SlotSet("qa_id", None)]

    async def _respond(self, turn: Turn, dispatcher: CollectingDispatcher) -> list[EventType]:
        if turn.intent == "choose_answer":
            return await self._chosen(turn, dispatcher)
        if turn.is_payload:  # a button names an intent and no question
            pairs = await self._search.of_intent(turn.intent, OFFERED)
            hits = [Hit(pair=pair, score=0.0) for pair in pairs]
            return self._offer(turn, dispatcher, hits) if hits else self._fail(turn, dispatcher)
        findings = await self._search.find(turn.text)
        if findings.sure is not None:
            return _answer(turn, dispatcher, findings.sure, findings.confidence)
        if findings.offered:
            return self._offer(turn, dispatcher, findings.offered)
        return self._fail(turn, dispatcher)

    async def _chosen(self, turn: Turn, dispatcher: CollectingDispatcher) -> list[EventType]:
        pair = await self._search.pair(turn.slot_text("qa_id") or NONE_OF_THESE)
        if pair is None:
            return self._fail(turn, dispatcher)
        return _answer(turn, dispatcher, Hit(pair=pair, score=1.0), 1.0)

    def _offer(
        self, turn: Turn, dispatcher: CollectingDispatcher, hits: Sequence[Hit]
    ) -> list[EventType]:
        text = "I'm not quite sure what you mean. Is it one of these?"
        if turn.is_payload:
            text = "What would you like to know?"
        dispatcher.utter_message(
            text=with_acknowledgement(turn, text),
            buttons=[
                *(choice_button(hit.pair) for hit in hits),
                {"title": "None of these", "payload": choice_payload(NONE_OF_THESE)},
            ],
            qa_offered=[{"id": hit.pair.id, "score": round(hit.score, 4)} for hit in hits],
        )
        return offer_withdrawn(turn)

    def _fail(self, turn: Turn, dispatcher: CollectingDispatcher) -> list[EventType]:
        if turn.waiting:
            return hand_off(
                dispatcher, turn, self._people, "low_confidence", first="I have no answer to that."
            )
        failures = turn.failures + 1
        if failures >= FAILURES_UNTIL_HANDOFF:
            return hand_off(dispatcher, turn, self._people, "repeated_failure")
        # Within a form a "yes" would be taken for the form's: cancel the order, say.
        if turn.emotion == "angry" and not turn.in_form and not turn.resting:
            text = with_acknowledgement(turn, "I don't have an answer to that.")
            events = offer_person(dispatcher, turn, f"{text} Would you like a person to take over?")
        else:
            dispatcher.utter_message(
                text=with_acknowledgement(
                    turn,
                    "I'm afraid I don't have an answer to that. You can put it in other words, "
                    "or I can bring in a person.",
                ),
                buttons=[ASK_PERSON],
            )
            events = offer_withdrawn(turn)
        return [*events, SlotSet("failures", failures)]


def _answer(
    turn: Turn, dispatcher: CollectingDispatcher, hit: Hit, confidence: float
) -> list[EventType]:
    dispatcher.utter_message(
        text=with_acknowledgement(turn, hit.pair.answer),
        qa={
            "id": hit.pair.id,
            "score": round(hit.score, 4),
            "confidence": round(confidence, 4),
            "question": hit.pair.question,
        },
    )
    return [*offer_withdrawn(turn), SlotSet("failures", 0)]


def choice_button(pair: Pair) -> dict[str, str]:
    """The button that asks a pair's question."""
    title = pair.question
    if len(title) > MAX_TITLE:
        title = title[: MAX_TITLE - 1].rstrip() + "…"
    return {"title": title, "payload": choice_payload(pair.id)}


def choice_payload(pair_id: str) -> str:
    """The button payload that asks for a pair by its id."""
    return f"/choose_answer{json.dumps({'qa_id': pair_id})}"
