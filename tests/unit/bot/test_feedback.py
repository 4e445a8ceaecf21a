"""Thumbs and stars: once each, and only for what the customer may judge."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bot.log.records import Reply


async def send(conversation: Any, body: Any, token: str | None = None) -> tuple[int, Any]:
    response = await conversation.client.post(
        f"/api/v1/conversations/{conversation.id}/feedback",
        json=body,
        headers={"Authorization": f"Bearer {token or conversation.token}"},
    )
    return response.status, await response.json()


def rows(folder: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "kefu.db") as connection:
        found = connection.execute("SELECT kind, score, comment, turn_id FROM feedback").fetchall()
    connection.close()
    return found


async def test_a_thumb_is_kept_shown_and_replaced(running: Any, tmp_path: Path) -> None:
    conversation = await running.converse()
    _, answer = await conversation.say("m1", "hello")
    (reply,) = answer["replies"]
    assert reply["feedback"] is None
    thumb = {"message_id": reply["id"], "score": 1}
    assert await send(conversation, thumb) == (200, thumb)
    assert (await conversation.messages())["messages"][1]["feedback"] == 1
    assert (await send(conversation, thumb | {"score": -1}))[0] == 200
    assert (await conversation.messages())["messages"][1]["feedback"] == -1
    ((kind, score, comment, turn_id),) = rows(tmp_path)
    assert (kind, score, comment) == ("thumb", -1, None)
    assert turn_id


async def test_stars_are_kept_shown_and_replaced_without_personal_data(
    running: Any, tmp_path: Path
) -> None:
    conversation = await running.converse()
    assert (await conversation.messages())["rating"] is None
    assert await send(conversation, {"rating": 2}) == (200, {"rating": 2})
    rated = {"rating": 5, "comment": "write to maya.ellis@mail.example"}
    assert (await send(conversation, rated))[0] == 200
    assert (await conversation.messages())["rating"] == 5
    assert rows(tmp_path) == [("rating", 5, "write to <email>", None)]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "rating"),
        ({"rating": 5, "message_id": "x", "score": 1}, 400, "rating"),
        ({"rating": 0}, 400, "rating"),
        ({"rating": 6}, 400, "rating"),
        ({"rating": 5.0}, 400, "rating"),
        ({"rating": True}, 400, "rating"),
        ({"rating": "5"}, 400, "rating"),
        ({"rating": 5, "comment": 7}, 400, "comment"),
        ({"rating": 5, "comment": "x" * 2001}, 413, "comment"),
        ({"message_id": "x"}, 400, "score"),
        ({"message_id": "x", "score": 0}, 400, "score"),
        ({"message_id": "x", "score": 2}, 400, "score"),
        ({"message_id": "x", "score": True}, 400, "score"),
        ({"message_id": ["x"], "score": 1}, 400, "message_id"),
        ({"message_id": "unknown", "score": 1}, 404, "message_id"),
        ([], 400, "body"),
    ],
)
async def test_bad_feedback_is_named_and_not_kept(
    running: Any, tmp_path: Path, body: Any, status: int, field: str
) -> None:
    conversation = await running.converse()
    got, refusal = await send(conversation, body)
    assert (got, refusal["error"]["field"]) == (status, field)
    assert rows(tmp_path) == []


async def test_only_the_bots_own_messages_of_this_conversation_have_thumbs(
    running: Any, tmp_path: Path
) -> None:
    mine, other = await running.converse(), await running.converse()
    _, answer = await other.say("m1", "hello")
    foreign = answer["replies"][0]["id"]
    await mine.say("m1", "hello")
    notice = Reply(id="notice-1", text="Please wait.", author="system")
    await running.gateway.journal.say(mine.id, [notice])
    own = [message["id"] for message in (await mine.messages())["messages"]]
    for id_ in (foreign, "notice-1", own[0]):
        assert (await send(mine, {"message_id": id_, "score": 1}))[0] == 404
    assert (await send(mine, {"rating": 5}, token=other.token))[0] == 403
    assert rows(tmp_path) == []
