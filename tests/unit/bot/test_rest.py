"""Rasa's REST channel: any client of a Rasa server can talk to the gateway."""

import json
from typing import Any


async def post(running: Any, message: Any, **more: Any) -> Any:
    return await running.client.post(
        "/webhooks/rest/webhook", data=json.dumps(message).encode(), **more
    )


async def test_answers_as_rasa_does(running: Any) -> None:
    response = await post(running, {"sender": "alice", "message": "hello"})
    assert response.status == 200
    assert await response.json() == [{"recipient_id": "alice", "text": "echo hello"}]


async def test_takes_a_body_without_json_content_type(running: Any) -> None:
    response = await post(
        running,
        {"sender": "alice", "message": "hello"},
        headers={"Content-Type": "application/octet-stream"},
    )
    assert response.status == 200


async def test_every_request_is_a_message_of_its_own(running: Any, dialogue: Any) -> None:
    for _ in range(2):
        await post(running, {"sender": "alice", "message": "hello"})
    await post(running, {"sender": "bob", "message": "hello"})
    conversations = [turn["conversation_id"] for turn in dialogue.turns]
    assert len(conversations) == 3
    assert conversations[0] == conversations[1] != conversations[2]


async def test_paragraphs_buttons_and_images_come_in_rasas_form(
    running: Any, dialogue: Any
) -> None:
    buttons = [{"title": "Yes", "payload": "/affirm"}]
    dialogue.reply = lambda body: {
        "replies": [
            {"text": "One.\n\nTwo.", "metadata": {}},
            {"text": "Sure?", "buttons": buttons, "metadata": {}},
            {"image": "https://shop.example/a.png", "metadata": {}},
            {"custom": {"kind": "card"}, "metadata": {}},
        ]
    }
    response = await post(running, {"sender": "a", "message": "hello"})
    assert await response.json() == [
        {"recipient_id": "a", "text": "One."},
        {"recipient_id": "a", "text": "Two."},
        {"recipient_id": "a", "text": "Sure?", "buttons": buttons},
        {"recipient_id": "a", "image": "https://shop.example/a.png"},
        {"recipient_id": "a", "custom": {"kind": "card"}},
    ]


async def test_stream_gives_one_message_a_line(running: Any) -> None:
    response = await running.client.post(
        "/webhooks/rest/webhook?stream=true", json={"sender": "a", "message": "hello"}
    )
    assert json.loads(await response.text()) == {"recipient_id": "a", "text": "echo hello"}


async def test_by_default_it_is_for_this_machine_only(running: Any, start: Any) -> None:
    remote = {"X-Forwarded-For": "203.0.113.9"}
    message = {"sender": "a", "message": "hello"}
    assert (await post(running, message, headers=remote)).status == 403
    opened = await start(rest_webhook="on")
    assert (await post(opened, message, headers=remote)).status == 200
    closed = await start(rest_webhook="off")
    assert (await post(closed, message)).status == 403


async def test_a_bad_body_is_named(running: Any) -> None:
    for message, field in (
        ({"message": "hello"}, "sender"),
        ({"sender": {"a": 1}, "message": "hello"}, "sender"),
        ({"sender": "a"}, "message"),
        ({"sender": "a", "message": " "}, "message"),
    ):
        response = await post(running, message)
        assert response.status == 400
        assert (await response.json())["error"]["field"] == field


async def test_an_erased_sender_starts_anew(running: Any, settings: Any) -> None:
    import sqlite3

    message = {"sender": "a", "message": "hello"}
    assert (await post(running, message)).status == 200
    with sqlite3.connect(settings.state_dir / "kefu.db") as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("DELETE FROM conversation")
    connection.close()
    assert (await post(running, message)).status == 200
