"""The turn channel of a running dialogue process."""

import json
import threading
from typing import Any

from tests.dialogue.fakes import FakeServices
from tests.dialogue.processes import DialogueProcess, actions_of


def slots_set(body: dict[str, Any]) -> dict[str, Any]:
    return {e["name"]: e["value"] for e in body["events"] if e["event"] == "slot"}


def test_a_turn_brings_replies_parse_and_events(dialogue: DialogueProcess) -> None:
    body = dialogue.say("whole", "/ask_size", "m-1")
    assert body["message_id"] == "m-1"
    assert body["duplicate"] is False
    assert [reply["text"] for reply in body["replies"]] == ["said by action_answer"]
    assert body["replies"][0]["metadata"]["qa"]["id"] == "delivery-1"
    assert body["parse"]["intent"]["name"] == "ask_size"
    assert actions_of(body) == ["action_answer"]
    assert set(body["timing_ms"]) == {"nlu", "dialogue", "total"}


def test_understanding_is_told_whose_message_it_is(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    dialogue.say("told", "/ask_size", "m-1")
    asked = shared_services.parses[-1]
    assert (asked["conversation_id"], asked["message_id"]) == ("told", "m-1")


def test_responses_bring_their_buttons(dialogue: DialogueProcess) -> None:
    reply = dialogue.say("buttons", "/ask_help")["replies"][0]
    assert {"title": "Talk to a person", "payload": "/ask_human"} in reply["buttons"]
    assert reply["metadata"] == {"utter_action": "utter_help"}


def test_a_message_is_answered_once(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    first = dialogue.say("once", "/ask_size", "m-1")
    asked = len(shared_services.parses)
    again = dialogue.say("once", "/ask_size", "m-1")
    assert again["duplicate"] is True
    assert len(shared_services.parses) == asked
    for part in ("replies", "parse", "events"):
        assert again[part] == first[part]


def test_a_message_id_with_another_text_is_refused(dialogue: DialogueProcess) -> None:
    dialogue.say("other text", "/greet", "m-1")
    status, body = dialogue.turn("other text", "/goodbye", "m-1")
    assert status == 422
    assert body["error"]["field"] == "message_id"


def test_the_same_message_id_in_two_conversations_is_two_messages(
    dialogue: DialogueProcess,
) -> None:
    dialogue.say("left", "/greet", "m-1")
    assert dialogue.say("right", "/goodbye", "m-1")["duplicate"] is False


def test_a_bad_body_is_refused_by_field(dialogue: DialogueProcess) -> None:
    status, body = dialogue.post(json.dumps({"conversation_id": "c", "message_id": "m"}).encode())
    assert status == 400
    assert body["error"]["field"] == "text"


def test_a_failed_action_fails_the_turn_and_leaves_no_trace(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    dialogue.say("failing", '/cancel_order{"order_number": "HP-100000"}')
    shared_services.actions.failures = 1
    status, body = dialogue.turn("failing", "jo@mail.example", "m-2")
    assert status == 503
    assert body["error"]["code"] == "action_failed"
    retried = dialogue.say("failing", "jo@mail.example", "m-2")
    assert retried["duplicate"] is False
    assert slots_set(retried)["requested_slot"] == "cancel_confirmed"
    users = [event for event in retried["events"] if event["event"] == "user"]
    assert len(users) == 1


def test_an_answer_that_is_no_action_result_fails_the_turn(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    shared_services.actions.broken_answer = {"events": [{"event": "slot"}], "responses": []}
    status, body = dialogue.turn("broken", "/ask_size", "m-1")
    assert (status, body["error"]["code"]) == (503, "action_failed")
    assert dialogue.say("broken", "/ask_size", "m-1")["replies"]


def test_without_understanding_there_is_no_turn(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    shared_services.parse_status = 500
    status, body = dialogue.turn("deaf", "/greet", "m-1")
    shared_services.parse_status = 200
    assert (status, body["error"]["code"]) == (503, "understanding_failed")
    assert dialogue.say("deaf", "/greet", "m-1")["duplicate"] is False


def test_turns_of_a_conversation_are_taken_one_by_one(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    shared_services.actions.delay_s = 0.05
    threads = [
        threading.Thread(target=dialogue.say, args=("crowd", "/ask_size", f"m-{n}"))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared_services.actions.delay_s = 0.0
    call = shared_services.actions.calls[-1]
    shared_services.actions.calls.clear()
    dialogue.say("crowd", "/ask_size")
    last = shared_services.actions.calls[-1]["tracker"]["events"]
    assert call["sender_id"] == "crowd"
    kinds = [event["event"] for event in last if event["event"] in ("user", "bot")]
    assert kinds == ["user", "bot", "user"]


def test_the_action_server_gets_the_last_events_only(
    dialogue: DialogueProcess, shared_services: FakeServices
) -> None:
    for _ in range(12):
        dialogue.say("long", "/ask_size")
    body = shared_services.actions.calls[-1]
    users = [event for event in body["tracker"]["events"] if event["event"] == "user"]
    assert len(users) == 2
    assert body["tracker"]["latest_message"]["intent"]["name"] == "ask_size"
    assert body["tracker"]["latest_message"]["emotion"]["name"] == "neutral"
    assert "domain" not in body


def test_rasas_rest_channel_still_answers(dialogue: DialogueProcess) -> None:
    import urllib.request

    request = urllib.request.Request(
        f"http://127.0.0.1:{dialogue.port}/webhooks/rest/webhook",
        data=json.dumps({"sender": "rest", "message": "/ask_size"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        assert json.load(response)[0]["text"] == "said by action_answer"


def test_health_and_readiness(dialogue: DialogueProcess) -> None:
    assert dialogue.get("/healthz") == (200, {"status": "ok"})
    status, body = dialogue.get("/readyz")
    assert (status, body["status"]) == (200, "ready")
