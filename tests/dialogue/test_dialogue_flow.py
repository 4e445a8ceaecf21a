"""Forms, fallback, offers and anger, over HTTP with a fake action server."""

from typing import Any

from tests.dialogue.processes import DialogueProcess, actions_of

FALLBACK = "action_two_stage_fallback"


def talk(dialogue: DialogueProcess, conversation_id: str, *texts: str) -> dict[str, Any]:
    """Say all; the last turn."""
    body: dict[str, Any] = {}
    for text in texts:
        body = dialogue.say(conversation_id, text)
    return body


def test_a_form_does_not_ask_for_what_was_said(dialogue: DialogueProcess) -> None:
    body = dialogue.say(
        "all at once", '/track_order{"order_number": "HP-100000", "email": "jo@mail.example"}'
    )
    assert actions_of(body) == [
        "track_order_form",
        "action_track_order",
        "action_reset_order_slots",
    ]


def test_a_form_goes_on_after_an_interruption_longer_than_the_window(
    dialogue: DialogueProcess,
) -> None:
    talk(dialogue, "patient", '/cancel_order{"order_number": "HP-100000"}')
    talk(dialogue, "patient", *["/ask_size", "/how_are_you"] * 8)
    body = dialogue.say("patient", "jo@mail.example")
    assert "Shall I cancel order HP-100000" in body["replies"][-1]["text"]
    assert "action_cancel_order" in actions_of(dialogue.say("patient", "/affirm"))


def test_stop_leaves_a_form(dialogue: DialogueProcess) -> None:
    body = talk(dialogue, "stop", "/return_order", "/nevermind")
    assert actions_of(body) == [
        "action_deactivate_loop",
        "action_reset_order_slots",
        "utter_form_stopped",
    ]
    assert actions_of(dialogue.say("stop", "/thank")) == ["utter_thank"]


def test_another_job_takes_over_with_its_own_number(dialogue: DialogueProcess) -> None:
    talk(dialogue, "switch", '/track_order{"order_number": "HP-100000"}')
    body = dialogue.say("switch", '/cancel_order{"order_number": "HP-200000"}')
    assert actions_of(body) == ["cancel_order_form"]
    body = dialogue.say("switch", "jo@mail.example")
    assert "HP-200000" in body["replies"][-1]["text"]


def test_a_person_can_be_asked_for_in_a_form(dialogue: DialogueProcess) -> None:
    body = talk(dialogue, "person", "/change_address", "/ask_human")
    assert actions_of(body) == ["action_handoff", "action_deactivate_loop"]
    assert body["replies"][0]["metadata"]["handoff"] == {"reason": "asked"}


def test_what_was_meant_can_be_picked_after_a_fallback(dialogue: DialogueProcess) -> None:
    body = dialogue.say("picked", "/nlu_fallback")
    assert actions_of(body) == [FALLBACK]
    assert body["replies"][0]["text"] == "said by action_default_ask_affirmation"
    body = dialogue.say("picked", '/choose_answer{"qa_id": "delivery-1"}')
    assert actions_of(body) == [FALLBACK, "action_answer"]


def test_a_second_failure_calls_a_person(dialogue: DialogueProcess) -> None:
    body = talk(dialogue, "twice", "/nlu_fallback", "/nlu_fallback")
    assert body["replies"][-1]["text"] == "said by action_default_fallback"
    assert actions_of(dialogue.say("twice", "/greet")) == ["utter_greet"]


def test_none_of_these_asks_for_other_words_once(dialogue: DialogueProcess) -> None:
    body = talk(dialogue, "none", "/nlu_fallback", "/out_of_scope")
    assert body["replies"][0]["metadata"]["utter_action"] == "utter_ask_rephrase"
    body = talk(dialogue, "none", "/nlu_fallback", "/out_of_scope")
    assert body["replies"][-1]["text"] == "said by action_default_fallback"


def test_an_angry_customer_is_offered_a_person_at_the_first_failure(
    dialogue: DialogueProcess,
) -> None:
    assert actions_of(dialogue.say("angry", "/nlu_fallback!!")) == ["action_offer_handoff"]
    assert actions_of(dialogue.say("angry", "/affirm"))[0] == "action_handoff"


def test_an_angry_customer_is_answered_in_other_words(dialogue: DialogueProcess) -> None:
    calm = dialogue.say("calm", "/report_damaged")["replies"][0]["text"]
    angry = dialogue.say("cross", "/report_damaged!!")["replies"][0]["text"]
    assert calm != angry
    assert "angry" in angry


def test_an_offer_stands_for_one_message(dialogue: DialogueProcess) -> None:
    talk(dialogue, "offer", "/insult!!", "/greet")
    assert actions_of(dialogue.say("offer", "/affirm")) == ["utter_affirm"]


def test_a_declined_offer_is_over(dialogue: DialogueProcess) -> None:
    body = talk(dialogue, "declined", "/make_complaint!!", "/deny")
    assert actions_of(body) == ["utter_handoff_declined"]
    assert actions_of(dialogue.say("declined", "/affirm")) == ["utter_affirm"]


def test_a_yes_within_a_form_is_the_forms(dialogue: DialogueProcess) -> None:
    body = talk(
        dialogue,
        "yes",
        '/cancel_order{"order_number": "HP-100000", "email": "jo@mail.example"}',
        "/insult!!",
    )
    assert actions_of(body) == ["utter_insult", "cancel_order_form"]
    assert "action_cancel_order" in actions_of(dialogue.say("yes", "/affirm"))
