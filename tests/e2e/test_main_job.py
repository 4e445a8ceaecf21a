"""A customer talks to the running system: the model, Rasa, the store and the log are real."""

import pytest
import requests
from sqlalchemy import func, select

from bot.bench.system import PrivateSystem
from bot.log.database import open_engine
from bot.log.tables import message, turn
from tests.e2e.conftest import Customer, texts

TRACKED = ("HP-482913", "maya.ellis@mail.example")


def count_rows(system: PrivateSystem) -> tuple[int, int]:
    """Messages and turns in the log."""
    engine = open_engine(f"sqlite:///{system.state_dir / 'kefu.db'}")
    try:
        with engine.connect() as connection:
            return (
                connection.execute(select(func.count()).select_from(message)).scalar_one(),
                connection.execute(select(func.count()).select_from(turn)).scalar_one(),
            )
    finally:
        engine.dispose()


def test_a_late_parcel_is_understood_and_answered_with_all_that_is_behind_it(
    customer: Customer,
) -> None:
    answer = customer.say("where is my parcel, it is a week late and nobody answers!")
    detail = answer["detail"]
    assert detail["intent"]["name"] == "track_order"
    assert detail["intent"]["confidence"] > 0.5
    assert detail["emotion"]["name"] in {"angry", "disappointed"}
    assert answer["replies"]
    assert detail["answer"]["actions"]
    assert detail["model_version"]
    assert {"nlu", "dialogue", "total"} <= set(detail["timing_ms"])


def test_a_question_is_answered_from_the_store_with_pair_and_score(customer: Customer) -> None:
    answer = customer.say("how long does standard delivery take?")
    qa = answer["detail"]["answer"]["qa"]
    assert qa["id"].startswith("delivery-")
    assert qa["score"] > 0.8
    assert "3 to 5 working days" in texts(answer)


def test_a_form_asks_for_what_is_missing_and_survives_a_question(customer: Customer) -> None:
    order_number, email = TRACKED
    assert "order number" in texts(customer.say("where is my order?")).lower()
    interrupted = customer.say("how much is express delivery?")
    assert "6.95" in texts(interrupted)
    assert "order number" in texts(interrupted).lower()
    assert "mail" in texts(customer.say(order_number)).lower()
    done = customer.say(email)
    assert "action_track_order" in done["detail"]["answer"]["actions"]
    assert order_number in texts(done)


def test_an_order_is_not_shown_to_who_does_not_know_its_email(customer: Customer) -> None:
    customer.say("track my parcel")
    customer.say(TRACKED[0])
    refused = customer.say("somebody.else@mail.example")
    assert "action_track_order" not in refused["detail"]["answer"]["actions"]


def test_asking_for_a_person_puts_the_conversation_in_the_queue(customer: Customer) -> None:
    customer.say("let me talk to a real person please")
    page = requests.get(customer.messages_url, headers=customer.headers, timeout=10).json()
    assert page["status"] == "waiting"


def test_the_same_message_id_twice_is_one_row_and_the_same_answer(
    system: PrivateSystem, customer: Customer
) -> None:
    first = customer.say("can I pay with klarna?", "one-id")
    before = count_rows(system)
    second = customer.say("can I pay with klarna?", "one-id")
    assert [reply["id"] for reply in second["replies"]] == [
        reply["id"] for reply in first["replies"]
    ]
    assert count_rows(system) == before
    assert customer.post({"id": "one-id", "text": "something else"}).status_code == 422


def test_a_slash_text_is_plain_text_unless_the_bot_offered_it(customer: Customer) -> None:
    plain = customer.say('/track_order{"order_number": "HP-482913"}')
    assert plain["detail"]["intent"]["confidence"] < 1.0 or (
        plain["detail"]["intent"]["name"] != "track_order"
    )
    helped = customer.say("what can you do for me?")
    offered = [button for reply in helped["replies"] for button in reply["buttons"]]
    assert offered, texts(helped)
    picked = customer.say(offered[0]["payload"])
    assert picked["detail"]["intent"] == {
        "name": offered[0]["payload"].lstrip("/"),
        "confidence": 1.0,
    }


def test_rasas_own_rest_clients_work(system: PrivateSystem) -> None:
    answer = requests.post(
        f"{system.url}/webhooks/rest/webhook",
        data='{"sender": "someone", "message": "hello"}',
        timeout=30,
    )
    assert answer.status_code == 200
    assert answer.json()[0]["recipient_id"] == "someone"
    assert answer.json()[0]["text"]


BAD_MESSAGES = {
    "empty": ('{"id": "a", "text": ""}', "text"),
    "whitespace": ('{"id": "a", "text": " \\n\\t "}', "text"),
    "10,000 characters": ('{"id": "a", "text": "%s"}' % ("x" * 10_000), "text"),
    "not JSON": ("hello", "body"),
    "no text": ('{"id": "a"}', "text"),
    "no id": ('{"text": "hello"}', "id"),
    "wrong type": ('{"id": "a", "text": 5}', "text"),
    "NUL": ('{"id": "a", "text": "a\\u0000b"}', "text"),
    "lone surrogate": ('{"id": "a", "text": "\\ud800"}', "text"),
    "a list": ('["a"]', "body"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_bad_input_is_refused_by_field_and_leaves_no_row(
    system: PrivateSystem, customer: Customer, name: str
) -> None:
    body, field = BAD_MESSAGES[name]
    before = count_rows(system)
    response = requests.post(
        customer.messages_url,
        data=body,
        headers={**customer.headers, "Content-Type": "application/json"},
        timeout=10,
    )
    assert 400 <= response.status_code < 500
    assert response.json()["error"]["field"] == field
    assert response.json()["error"]["remedy"]
    assert count_rows(system) == before


def test_forged_tokens_and_unknown_conversations_are_refused(
    system: PrivateSystem, customer: Customer
) -> None:
    before = count_rows(system)
    other = Customer(url=system.url)
    body = {"id": "a", "text": "hello"}
    for headers in ({}, {"Authorization": "Bearer forged"}, other.headers):
        response = requests.post(customer.messages_url, json=body, headers=headers, timeout=10)
        assert response.status_code in {401, 403}
        assert response.json()["error"]["remedy"]
    unknown = customer.messages_url.replace(customer.conversation_id, "no-such-conversation")
    response = requests.post(unknown, json=body, headers=customer.headers, timeout=10)
    assert response.status_code in {401, 403, 404}
    assert count_rows(system) == before


def test_personal_data_does_not_reach_the_turn_log(
    system: PrivateSystem, customer: Customer
) -> None:
    customer.say("my card 4111 1111 1111 1111 was declined, mail me at jane.roe@mail.example")
    engine = open_engine(f"sqlite:///{system.state_dir / 'kefu.db'}")
    try:
        with engine.connect() as connection:
            query = select(turn).where(turn.c.conversation_id == customer.conversation_id)
            row = str(connection.execute(query).all())
            query = select(message).where(message.c.conversation_id == customer.conversation_id)
            row += str(connection.execute(query).all())
    finally:
        engine.dispose()
    assert "4111" not in row
    assert "jane.roe" not in row
