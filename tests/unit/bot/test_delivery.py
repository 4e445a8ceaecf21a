"""Every accepted message gets its one answer, in order, through crashes and outages."""

import asyncio
import logging
import sqlite3
from typing import Any

import pytest


async def test_a_conversation_is_answered_in_order(running: Any, dialogue: Any) -> None:
    conversation = await running.converse()
    dialogue.open.clear()
    for number in range(5):
        await conversation.say(str(number), f"text {number}", query="")
    dialogue.open.set()
    await running.gateway.delivery.drain(5)
    assert dialogue.texts == [f"text {number}" for number in range(5)]


async def test_messages_sent_at_once_keep_the_order_of_their_numbers(
    running: Any, dialogue: Any
) -> None:
    conversation = await running.converse()
    answers = await asyncio.gather(
        *(conversation.say(str(number), f"text {number}") for number in range(20))
    )
    by_seq = sorted(answers, key=lambda answer: answer[1]["message"]["seq"])
    assert dialogue.texts == [
        answer["replies"][0]["text"].removeprefix("echo ") for _, answer in by_seq
    ]


async def test_one_slow_conversation_holds_up_no_other(running: Any, dialogue: Any) -> None:
    slow, quick = await running.converse(), await running.converse()
    dialogue.open.clear()
    await slow.say("1", "slow", query="")
    await dialogue.seen(1)
    held = dialogue.open
    dialogue.open = asyncio.Event()
    dialogue.open.set()
    assert (await quick.say("1", "quick"))[0] == 200
    held.set()


async def test_a_turn_is_tried_again_while_the_dialogue_is_down(
    running: Any, dialogue: Any
) -> None:
    dialogue.failures = [503, 500, 404, 429]
    conversation = await running.converse()
    status, answer = await conversation.say("m1", "hello")
    assert (status, answer["message"]["state"]) == (200, "answered")
    assert len({turn["message_id"] for turn in dialogue.turns}) == 1
    assert len(dialogue.turns) == 5


async def test_after_too_long_the_customer_gets_an_apology_and_the_log_an_error(
    start: Any, dialogue: Any, settings: Any
) -> None:
    running = await start(turn_retry_s=0.001)
    dialogue.failures = [503] * 100
    conversation = await running.converse()
    status, answer = await conversation.say("m1", "hello")
    assert (status, answer["message"]["state"]) == (200, "failed")
    assert answer["replies"][0]["text"] == settings.apology
    dialogue.failures = []
    assert (await conversation.say("m2", "hello?"))[1]["message"]["state"] == "answered"
    (error,) = query(settings, "SELECT error FROM turn WHERE error IS NOT NULL")
    assert "503" in error[0]


async def test_a_refused_turn_is_not_tried_again(running: Any, dialogue: Any) -> None:
    dialogue.failures = [400]
    conversation = await running.converse()
    _, answer = await conversation.say("m1", "hello")
    assert answer["message"]["state"] == "failed"
    assert len(dialogue.turns) == 1


async def test_an_answer_of_another_form_does_not_stop_the_conversation(
    running: Any, dialogue: Any
) -> None:
    dialogue.reply = lambda body: {"replies": ["no object"]}
    conversation = await running.converse()
    assert (await conversation.say("m1", "hello"))[1]["message"]["state"] == "failed"
    dialogue.reply = None
    assert (await conversation.say("m2", "hello"))[1]["message"]["state"] == "answered"


async def test_what_a_crashed_gateway_accepted_is_answered_by_the_next_one(
    start: Any, dialogue: Any
) -> None:
    crashed = await start()
    conversation = await crashed.converse()
    dialogue.open.clear()
    for number in range(3):
        status, _ = await conversation.say(str(number), f"text {number}", query="")
        assert status == 202
    await dialogue.seen(1)
    # The turn reaches the dialogue, its answer nobody: the process is gone before.
    await crashed.gateway.delivery.drain(0)
    dialogue.open.set()
    restarted = await start()
    await restarted.gateway.delivery.drain(5)
    conversation.client = restarted.client
    page = await conversation.messages()
    assert [m["text"] for m in page["messages"]] == [
        "text 0",
        "text 1",
        "text 2",
        "echo text 0",
        "echo text 1",
        "echo text 2",
    ]
    assert await conversation.say("1", "text 1") == (
        200,
        {
            "message": {
                "id": "1",
                "seq": 2,
                "created_at": page["messages"][1]["created_at"],
                "state": "answered",
            },
            "replies": [page["messages"][4]],
        },
    )


async def test_a_draining_gateway_answers_what_it_accepted_and_takes_nothing_new(
    running: Any, dialogue: Any
) -> None:
    conversation = await running.converse()
    dialogue.open.clear()
    await conversation.say("1", "hello", query="")
    await dialogue.seen(1)
    draining = asyncio.create_task(running.gateway.drain())
    await asyncio.sleep(0)
    status, refusal = await conversation.say("2", "too late", query="")
    assert (status, refusal["error"]["field"]) == (503, "gateway")
    assert (await running.client.get("/readyz")).status == 503
    dialogue.open.set()
    assert await draining == 0
    assert [m["text"] for m in (await conversation.messages())["messages"]] == [
        "hello",
        "echo hello",
    ]


async def test_a_drain_is_bounded_and_leaves_the_rest_to_the_next_start(
    start: Any, dialogue: Any
) -> None:
    running = await start(drain_timeout_s=0.05)
    conversation = await running.converse()
    dialogue.open.clear()
    await conversation.say("1", "hello", query="")
    assert await running.gateway.drain() == 1
    assert len(await running.gateway.journal.unanswered()) == 1


async def test_beyond_the_limit_clients_are_told_to_come_back(start: Any, dialogue: Any) -> None:
    running = await start(max_pending=3, max_pending_per_conversation=2)
    first, second = await running.converse(), await running.converse()
    dialogue.open.clear()
    assert (await first.say("1", "a", query=""))[0] == 202
    assert (await first.say("2", "b", query=""))[0] == 202
    assert (await first.say("3", "c", query=""))[0] == 429
    assert (await second.say("1", "a", query=""))[0] == 202
    response = await running.client.post(
        second.url, json={"id": "2", "text": "b"}, headers=second.headers
    )
    assert response.status == 429
    assert int(response.headers["Retry-After"]) > 0
    dialogue.open.set()
    await running.gateway.delivery.drain(5)
    assert len((await first.messages())["messages"]) == 4


async def test_a_slash_is_plain_text_unless_the_bot_has_just_offered_it(
    running: Any, dialogue: Any
) -> None:
    payload = '/choose_answer{"qa_id": "qa-1"}'
    conversation = await running.converse()
    await conversation.say("1", payload)
    dialogue.reply = lambda body: {
        "replies": [
            {
                "text": "Which one?",
                "buttons": [{"title": "First", "payload": payload}],
                "metadata": {},
            }
        ]
    }
    await conversation.say("2", "/restart")
    dialogue.reply = None
    other = await running.converse()
    await other.say("1", payload)
    await conversation.say("3", payload)
    await conversation.say("4", payload)
    await conversation.say("5", "hello")
    said = {
        (turn["conversation_id"] == other.id, turn["text"], turn["metadata"]["literal"])
        for turn in dialogue.turns
    }
    literal = [turn["metadata"]["literal"] for turn in dialogue.turns]
    assert literal == [True, True, True, False, True, False], said


async def test_the_bot_is_silent_while_an_agent_holds_the_conversation(
    running: Any, dialogue: Any, settings: Any
) -> None:
    conversation = await running.converse()
    await running.gateway.journal.set_status(conversation.id, "agent")
    status, answer = await conversation.say("1", "are you there")
    assert (status, answer["replies"]) == (200, [])
    assert dialogue.turns == []
    assert query(settings, "SELECT text, intent, emotion FROM turn") == [
        ("are you there", "track_order", "angry")
    ]


async def test_who_writes_again_opens_a_closed_conversation(running: Any) -> None:
    conversation = await running.converse()
    await running.gateway.journal.set_status(conversation.id, "closed")
    _, answer = await conversation.say("1", "one more thing")
    assert answer["replies"]
    assert (await conversation.messages())["status"] == "bot"


async def test_a_conversation_erased_under_way_leaves_nothing_behind(
    running: Any, dialogue: Any, settings: Any
) -> None:
    conversation = await running.converse()
    dialogue.open.clear()
    waiting = asyncio.create_task(conversation.say("1", "forget me"))
    await dialogue.seen(1)
    with sqlite3.connect(settings.state_dir / "kefu.db") as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("DELETE FROM conversation")
    connection.close()
    dialogue.open.set()
    assert (await waiting)[0] == 404
    assert query(settings, "SELECT count(*) FROM message") == [(0,)]
    assert query(settings, "SELECT count(*) FROM turn") == [(0,)]


async def test_the_log_keeps_no_personal_data_once_answered(
    running: Any, dialogue: Any, settings: Any
) -> None:
    text = "mail jo@mail.example about HP-482913"
    entities = [
        {"entity": "email", "start": 5, "end": 20, "value": "jo@mail.example"},
        {"entity": "order_number", "start": 27, "end": 36, "value": "HP-482913"},
    ]
    dialogue.reply = lambda body: {
        "parse": dialogue_parse(text, entities),
        "replies": [{"text": "We wrote to jo@mail.example.", "metadata": {}}],
    }
    conversation = await running.converse()
    _, answer = await conversation.say("1", text)
    assert answer["replies"][0]["text"] == "We wrote to jo@mail.example."
    assert dialogue.texts == [text]
    redacted = "mail <email> about HP-482913"
    ((kept, found, replies),) = query(settings, "SELECT text, entities, replies FROM turn")
    assert kept == redacted
    assert "jo@mail" not in found + replies
    assert query(settings, "SELECT text FROM message WHERE direction = 'in'") == [(redacted,)]
    assert (await conversation.say("1", text))[0] == 200


def dialogue_parse(text: str, entities: list[dict[str, Any]]) -> dict[str, Any]:
    return {"text": text, "intent": {"name": "inform", "confidence": 0.9}, "entities": entities}


def query(settings: Any, sql: str) -> list[Any]:
    connection = sqlite3.connect(settings.state_dir / "kefu.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def test_an_answer_that_cannot_be_kept_is_an_apology_and_stops_nothing(
    running: Any, dialogue: Any, settings: Any
) -> None:
    dialogue.reply = lambda body: {"replies": [{"text": "half \ud800", "metadata": {}}]}
    conversation = await running.converse()
    _, answer = await conversation.say("1", "hello")
    assert answer["message"]["state"] == "failed"
    assert answer["replies"][0]["text"] == settings.apology
    dialogue.reply = None
    assert (await conversation.say("2", "hello"))[1]["message"]["state"] == "answered"


async def test_a_fault_of_ours_is_an_apology_and_stops_nothing(
    running: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    conversation = await running.converse()

    async def break_down(conversation_id: str) -> Any:
        raise ZeroDivisionError

    with caplog.at_level(logging.INFO), monkeypatch.context() as patched:
        patched.setattr(running.gateway.journal, "offered_buttons", break_down)
        _, answer = await conversation.say("1", "/hello")
    assert answer["message"]["state"] == "failed"
    assert "turn lost its way" in caplog.text
    assert query(settings, "SELECT error FROM turn") == [("gateway: ZeroDivisionError",)]
    assert (await conversation.say("2", "hello"))[1]["message"]["state"] == "answered"


async def test_a_turn_that_is_lost_for_good_can_be_driven_again(
    running: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    conversation = await running.converse()

    async def break_down(conversation_id: str) -> Any:
        raise ZeroDivisionError

    with caplog.at_level(logging.INFO), monkeypatch.context() as patched:
        patched.setattr(running.gateway.journal, "conversation", break_down)
        # Told at once, or found unanswered: which, is a matter of who is first.
        assert (await conversation.say("1", "hello"))[0] in (202, 500)
    assert running.gateway.delivery.pending == 0
    assert (await conversation.say("1", "hello"))[1]["message"]["state"] == "answered"


async def test_who_waits_when_the_gateway_goes_is_told_to_come_back(
    start: Any, dialogue: Any
) -> None:
    running = await start()
    conversation = await running.converse()
    dialogue.open.clear()
    waiting = asyncio.create_task(conversation.say("1", "hello"))
    await dialogue.seen(1)
    await running.gateway.delivery.close()
    assert (await waiting)[0] == 202
    assert running.gateway.delivery.pending == 0
    # Kept, but for the next gateway to answer.
    assert (await conversation.say("2", "more"))[0] == 202
    assert running.gateway.delivery.pending == 0
    assert len(await running.gateway.journal.unanswered()) == 2


async def test_a_repeated_message_does_not_open_a_closed_conversation_again(
    running: Any,
) -> None:
    conversation = await running.converse()
    await conversation.say("1", "hello")
    await running.gateway.journal.set_status(conversation.id, "closed")
    await conversation.say("1", "hello")
    assert (await conversation.messages())["status"] == "closed"
