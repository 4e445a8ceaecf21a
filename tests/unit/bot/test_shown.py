"""What a customer sees of a conversation."""

from typing import Any

from sqlalchemy import insert

from bot.http.file_links import FileLinks
from bot.http.shown import View
from bot.log import tables
from bot.log.records import Reply
from bot.world import World


def links() -> FileLinks:
    return FileLinks(str, World().now)


async def test_a_message_says_who_wrote_it(running: Any) -> None:
    conversation = await running.converse()
    await conversation.say("m1", "hello")
    journal = running.gateway.journal
    agent = {"id": "a1", "name": "Mei", "role": "agent", "created_at": World().now()}
    await journal.write(lambda connection: connection.execute(insert(tables.agent), agent))
    await journal.say(
        conversation.id,
        [
            Reply(id="r1", text="I am Mei.", author="agent", agent_id="a1"),
            Reply(id="r2", text="Mei joined.", author="system"),
        ],
    )
    shown = (await conversation.messages())["messages"]
    assert [(m["author"], m["agent_name"], m["direction"]) for m in shown] == [
        ("customer", None, "in"),
        ("bot", None, "out"),
        ("agent", "Mei", "out"),
        ("system", None, "out"),
    ]
    assert ["feedback" in m for m in shown] == [False, True, False, False]
    assert all(m["attachments"] == [] for m in shown)


async def test_the_queue_is_asked_for_who_waits(running: Any) -> None:
    conversation = await running.converse()
    asked: list[str] = []

    async def queue(conversation_id: str) -> dict[str, Any]:
        asked.append(conversation_id)
        return {"position": 3, "open": True}

    view = View(running.gateway.journal, links(), queue)
    page = await view.page(conversation.id, after=0, limit=10)
    assert page is not None
    assert (page["status"], page["queue"], asked) == ("bot", None, [])
    await running.gateway.journal.set_status(conversation.id, "waiting")
    standing = await view.standing(conversation.id)
    assert standing == {"status": "waiting", "queue": {"position": 3, "open": True}}
    assert asked == [conversation.id]


async def test_there_is_no_page_of_an_unknown_conversation(running: Any) -> None:
    view = View(running.gateway.journal, links())
    assert await view.page("unknown", after=0, limit=10) is None
    assert await view.standing("unknown") is None


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "seq": 1,
        "direction": "in",
        "author": "customer",
        "message_id": "m1",
        "text": "/track_order",
        "state": "answered",
        "attachments": None,
        "buttons": None,
        "extra": None,
        "metadata": None,
        "created_at": World().now(),
    } | changes


def test_a_pressed_button_has_its_title(running: Any) -> None:
    view = View(running.gateway.journal, links())
    assert view.message(row(metadata={"title": "Track my order"}))["title"] == "Track my order"
    assert "title" not in view.message(row())


def test_what_hangs_on_a_reply_is_shown_beside_it(running: Any) -> None:
    view = View(running.gateway.journal, links())
    shown = view.message(
        row(
            direction="out",
            author="bot",
            message_id=None,
            extra={"image": "https://shop.example/a.png"},
            attachments=[{"kind": "file", "id": "f1", "name": "a.pdf", "size": 3}],
        )
    )
    assert shown["image"] == "https://shop.example/a.png"
    (attachment,) = shown["attachments"]
    assert attachment["url"].startswith("/api/v1/files/f1?")
    assert shown["id"] == "r1"
