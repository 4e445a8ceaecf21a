"""What the dialogue does after a person, over HTTP with a fake action server."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.dialogue.fakes import FakeServices
from tests.dialogue.processes import DialogueProcess, actions_of

FALLBACK = "action_two_stage_fallback"
REST = {"handoff_rest": 3}


def slots_sent(services: FakeServices) -> dict[str, Any]:
    """The slots as the last action saw them."""
    return dict(services.actions.calls[-1]["tracker"]["slots"])


def test_a_hand_back_ends_what_was_waited_for(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    dialogue.say("back", "/ask_human")
    dialogue.say("back", "/ask_size", waiting=True)
    assert slots_sent(shared_services)["handoff"] == "waiting"
    assert dialogue.hand_back("back", "e-1", slots=REST) == {"event_id": "e-1", "duplicate": False}
    dialogue.say("back", "/ask_size")
    slots = slots_sent(shared_services)
    assert slots["handoff"] is None
    assert slots["failures"] == 0
    assert slots["handoff_outcome"] == "resolved"
    assert slots["handoff_rest"] == 3


def test_a_hand_back_happens_once(dialogue: DialogueProcess, shared_services: FakeServices) -> None:
    dialogue.say("twice back", "/ask_human")
    dialogue.hand_back("twice back", "e-1")
    dialogue.say("twice back", "/ask_human")
    assert dialogue.hand_back("twice back", "e-1")["duplicate"] is True
    dialogue.say("twice back", "/ask_size", waiting=True)
    assert slots_sent(shared_services)["handoff"] == "waiting"
    assert dialogue.hand_back("twice back", "e-2")["duplicate"] is False


def test_a_hand_back_survives_a_kill_and_still_happens_once(
    shared_services: FakeServices, models_dir: Path, tmp_path: Path
) -> None:
    process = DialogueProcess(shared_services.url, models_dir, tmp_path)
    try:
        process.say("killed", "/ask_human")
        process.hand_back("killed", "e-1", slots=REST)
        process.stop(signal.SIGKILL)
        process.start()
        assert process.hand_back("killed", "e-1", slots=REST)["duplicate"] is True
        assert actions_of(process.say("killed", "/thank")) == ["utter_thank_for_person"]
    finally:
        process.stop()


def test_a_form_does_not_outlive_a_person(dialogue: DialogueProcess) -> None:
    dialogue.say("form", "/track_order")
    dialogue.hand_back("form", "e-1")
    assert actions_of(dialogue.say("form", "/greet")) == ["utter_greet"]
    assert actions_of(dialogue.say("form", "HP-100000")) == ["utter_inform_unprompted"]


def test_a_hand_back_before_the_first_message_begins_the_conversation(
    dialogue: DialogueProcess,
) -> None:
    dialogue.hand_back("silent", "e-1", slots=REST)
    assert actions_of(dialogue.say("silent", "/thank")) == ["utter_thank_for_person"]


@pytest.mark.parametrize(
    ("outcome", "said", "answer"),
    [
        ("resolved", "/thank", "utter_thank_for_person"),
        ("unresolved", "/greet", "utter_greet_again"),
        ("callback", "/thank", "utter_thank_before_callback"),
        ("sent a voucher", "/thank", "utter_thank"),
        ("unresolved", "/ask_size", "action_answer"),
    ],
)
def test_rules_know_what_came_of_it(
    dialogue: DialogueProcess, outcome: str, said: str, answer: str
) -> None:
    name = f"outcome {outcome} {said}"
    dialogue.say(name, "/ask_human")
    dialogue.hand_back(name, "e-1", outcome=outcome, slots=REST)
    assert actions_of(dialogue.say(name, said)) == [answer]


def test_anger_offers_no_person_for_a_while_after_a_hand_back(dialogue: DialogueProcess) -> None:
    dialogue.say("still angry", "/ask_human")
    dialogue.hand_back("still angry", "e-1", slots=REST)
    assert actions_of(dialogue.say("still angry", "/insult!!")) == ["utter_insult"]
    assert actions_of(dialogue.say("still angry", "/make_complaint!!")) == [
        "utter_sympathy",
        "action_answer",
    ]
    dialogue.say("still angry", "/greet")
    assert actions_of(dialogue.say("still angry", "/insult!!")) == [
        "utter_insult",
        "action_offer_handoff",
    ]


def test_a_failure_in_anger_is_met_with_a_question_after_a_hand_back(
    dialogue: DialogueProcess,
) -> None:
    dialogue.hand_back("failing angry", "e-1", slots=REST)
    assert actions_of(dialogue.say("failing angry", "/nlu_fallback!!")) == [FALLBACK]


def test_a_fallback_does_not_undo_a_hand_back(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    dialogue.say("undo", "/ask_human")
    dialogue.hand_back("undo", "e-1", slots=REST)
    dialogue.say("undo", "/nlu_fallback")
    dialogue.say("undo", "/ask_size")
    slots = slots_sent(shared_services)
    assert slots["handoff"] is None
    assert slots["handoff_outcome"] == "resolved"


def test_a_fallback_does_not_bring_an_offer_back(dialogue: DialogueProcess) -> None:
    for said in ("/make_complaint!!", "/nlu_fallback", "/ask_size"):
        dialogue.say("offer undone", said)
    assert actions_of(dialogue.say("offer undone", "/affirm")) == ["utter_affirm"]


def test_an_explicit_request_works_at_once_after_a_hand_back(dialogue: DialogueProcess) -> None:
    dialogue.say("again", "/ask_human")
    dialogue.hand_back("again", "e-1", slots=REST)
    assert actions_of(dialogue.say("again", "/ask_human"))[0] == "action_handoff"


def test_the_outcome_wears_off(dialogue: DialogueProcess, shared_services: FakeServices) -> None:
    dialogue.hand_back("wears off", "e-1", slots=REST)
    seen = []
    for _ in range(4):
        dialogue.say("wears off", "/ask_size")
        slots = slots_sent(shared_services)
        seen.append((slots["handoff_outcome"], slots["handoff_rest"]))
    assert seen == [("resolved", 3), ("resolved", 2), ("resolved", 1), (None, 0)]


def test_who_waits_without_the_bots_doing_is_known_to_wait(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    dialogue.say("by button", "/ask_size", waiting=True)
    assert slots_sent(shared_services)["handoff"] == "waiting"
    dialogue.say("by button", "/ask_size", waiting=True)
    assert slots_sent(shared_services)["handoff"] == "waiting"


def test_a_call_that_never_came_through_is_forgotten(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    # The gateway had given this turn up: nobody waits, whatever the bot believes.
    dialogue.say("given up", "/ask_human")
    dialogue.say("given up", "/ask_size", waiting=False)
    assert slots_sent(shared_services)["handoff"] is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"event_id": None}, "event_id"),
        ({"event_id": ""}, "event_id"),
        ({"outcome": 7}, "outcome"),
        ({"outcome": "x" * 101}, "outcome"),
        ({"slots": []}, "slots"),
        ({"slots": {"nonsense": 1}}, "slots.nonsense"),
        ({"conversation_id": "\ud800"}, "conversation_id"),
    ],
)
def test_a_bad_hand_back_is_refused_by_field(
    dialogue: DialogueProcess, fields: dict[str, Any], field: str
) -> None:
    body = {"conversation_id": "bad", "event_id": "e-1", "outcome": "resolved"} | fields
    status, answer = dialogue.post(json.dumps(body).encode(), "hand-back")
    assert status in (400, 413)
    assert answer["error"]["field"] == field
