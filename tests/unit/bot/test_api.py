"""The web API as a client sees it."""

from typing import Any

import pytest


async def test_a_message_with_wait_gets_the_replies(running: Any) -> None:
    conversation = await running.converse()
    status, answer = await conversation.say("m1", "where is my parcel")
    assert status == 200
    assert answer["message"]["id"] == "m1"
    assert answer["message"]["state"] == "answered"
    (reply,) = answer["replies"]
    assert reply["text"] == "echo where is my parcel"
    assert reply["seq"] == 2
    assert reply["buttons"] == []


async def test_a_message_without_wait_is_acknowledged_and_answered_later(running: Any) -> None:
    conversation = await running.converse()
    status, acknowledged = await conversation.say("m1", "hello", query="")
    assert status == 202
    assert acknowledged["message"]["seq"] == 1
    await running.gateway.delivery.drain(5)
    page = await conversation.messages()
    assert [(m["direction"], m["text"]) for m in page["messages"]] == [
        ("in", "hello"),
        ("out", "echo hello"),
    ]
    assert acknowledged["poll"] == f"{conversation.url}?after=1"


async def test_the_same_message_again_gets_the_same_answer_once(
    running: Any, dialogue: Any
) -> None:
    conversation = await running.converse()
    first = await conversation.say("m1", "hello")
    again = await conversation.say("m1", "hello")
    assert again == first
    assert dialogue.texts == ["hello"]
    assert len((await conversation.messages())["messages"]) == 2


async def test_the_same_message_again_while_under_way_waits_for_the_one_turn(
    running: Any, dialogue: Any
) -> None:
    conversation = await running.converse()
    dialogue.open.clear()
    status, acknowledged = await conversation.say("m1", "hello", query="")
    assert status == 202
    assert await conversation.say("m1", "hello", query="") == (202, acknowledged)
    dialogue.open.set()
    status, answer = await conversation.say("m1", "hello")
    assert (status, len(answer["replies"])) == (200, 1)
    assert dialogue.texts == ["hello"]


async def test_an_id_with_another_text_is_refused(running: Any) -> None:
    conversation = await running.converse()
    await conversation.say("m1", "hello")
    status, refusal = await conversation.say("m1", "bye")
    assert status == 422
    assert refusal["error"]["field"] == "id"
    messages = (await conversation.messages())["messages"]
    assert [m["text"] for m in messages] == ["hello", "echo hello"]


async def test_ids_belong_to_their_conversation(running: Any) -> None:
    first, second = await running.converse(), await running.converse()
    assert (await first.say("1", "hello"))[0] == 200
    assert (await second.say("1", "good morning"))[0] == 200


async def test_wait_that_takes_too_long_becomes_an_acknowledgement(
    start: Any, dialogue: Any
) -> None:
    running = await start(wait_timeout_s=0.01)
    conversation = await running.converse()
    dialogue.open.clear()
    status, answer = await conversation.say("m1", "hello")
    assert status == 202
    assert answer["poll"].endswith("?after=1")


async def test_messages_come_in_pages(running: Any) -> None:
    conversation = await running.converse()
    for number in range(3):
        await conversation.say(str(number), f"text {number}")
    page = await conversation.messages("?after=2&limit=3")
    assert [m["seq"] for m in page["messages"]] == [3, 4, 5]
    assert page["next_after"] == 5
    assert (await conversation.messages("?after=6"))["messages"] == []


async def test_detail_names_what_was_understood_and_done(running: Any, dialogue: Any) -> None:
    qa = {"id": "qa-7", "score": 0.91, "question": "Where is it?"}
    dialogue.reply = lambda body: {"replies": [{"text": "On its way.", "metadata": {"qa": qa}}]}
    conversation = await running.converse()
    _, answer = await conversation.say("m1", "where is it", query="?wait=true&detail=true")
    detail = answer["detail"]
    assert detail["intent"] == {"name": "track_order", "confidence": 0.97}
    assert detail["emotion"] == {"name": "angry", "confidence": 0.9}
    assert detail["answer"] == {"qa": qa, "actions": ["utter_echo"]}
    assert detail["model_version"] == "20260101-1"
    assert {"accept", "wait", "nlu", "dialogue", "turn", "commit", "total"} <= set(
        detail["timing_ms"]
    )


async def test_detail_is_not_for_clients_behind_a_proxy(running: Any) -> None:
    conversation = await running.converse()
    response = await running.client.post(
        conversation.url + "?wait=true&detail=true",
        json={"id": "m1", "text": "hello"},
        headers=conversation.headers | {"X-Forwarded-For": "203.0.113.9"},
    )
    assert response.status == 403
    assert (await conversation.messages())["messages"] == []


async def test_a_reply_with_handoff_makes_the_conversation_wait_for_a_person(
    running: Any, dialogue: Any
) -> None:
    dialogue.reply = lambda body: {
        "replies": [{"text": "One moment.", "metadata": {"handoff": {"reason": "asked"}}}]
    }
    conversation = await running.converse()
    await conversation.say("m1", "a person please")
    assert (await conversation.messages())["status"] == "waiting"


async def test_ready_when_the_dialogue_is(running: Any, start: Any) -> None:
    assert (await running.client.get("/healthz")).status == 200
    assert (await running.client.get("/readyz")).status == 200
    lonely = await start(dialogue_url="http://127.0.0.1:9")
    response = await lonely.client.get("/readyz")
    assert response.status == 503
    assert "dialogue" in (await response.json())["reason"]


async def test_the_systems_words_follow_the_language_that_the_customer_chose(running: Any) -> None:
    customer = await running.converse()
    base = customer.url.removesuffix("/messages")
    said = await running.client.post(
        f"{base}/locale", json={"locale": "zh-CN"}, headers=customer.headers
    )
    assert (said.status, await said.json()) == (200, {"locale": "zh-CN"})
    await running.client.post(f"{base}/handoff", headers=customer.headers)
    page = await customer.messages()
    notices = [one["text"] for one in page["messages"] if one["author"] == "system"]
    assert notices
    assert all("人工客服" in text or "您" in text for text in notices)


@pytest.mark.parametrize("locale", [None, "", 7, "zh_CN", "no language"])
async def test_a_locale_that_is_none_is_refused(running: Any, locale: Any) -> None:
    customer = await running.converse()
    url = customer.url.replace("/messages", "/locale")
    refused = await running.client.post(url, json={"locale": locale}, headers=customer.headers)
    assert refused.status == 400
    assert (await refused.json())["error"]["field"] == "locale"


async def test_only_its_customer_sets_a_conversations_language(running: Any) -> None:
    anna, ben = await running.converse(), await running.converse()
    url = anna.url.replace("/messages", "/locale")
    for headers, status in (({}, 401), (ben.headers, 403)):
        refused = await running.client.post(url, json={"locale": "zh"}, headers=headers)
        assert refused.status == status
