"""The customer's pages: nothing is missed, nothing comes twice, and who is slow is let go."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import socketio
from sqlalchemy import delete

from bot.log import tables
from bot.log.records import Reply
from bot.push import Hub

SOCKET = "/socket.io/?EIO=4&transport="


@dataclass
class Page:
    """A customer's open page: what it was sent, and how to wait for it."""

    client: socketio.AsyncClient
    messages: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[str, Any]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hear(self, event: str, data: Any) -> None:
        async with self.changed:
            self.events.append((event, data))
            if event == "messages":
                self.messages += data["messages"]
            self.changed.notify_all()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(done)

    async def texts(self, count: int) -> list[str]:
        await self.until(lambda: len(self.messages) >= count)
        return [message["text"] for message in self.messages]

    def heard(self, event: str) -> list[Any]:
        return [data for name, data in self.events if name == event]


Connect = Callable[..., Awaitable[Page]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens a page on a conversation, as the widget does."""
    async with AsyncExitStack() as stack:

        async def connect(running: Any, auth: Any, *, transport: str = "websocket") -> Page:
            session = aiohttp.ClientSession(headers=running.own_page)
            stack.push_async_callback(session.close)
            client = socketio.AsyncClient(http_session=session, reconnection=False)
            page = Page(client)
            for event in ("messages", "status", "typing"):
                client.on(event, hearing(page, event), namespace="/kefu")
            stack.push_async_callback(client.disconnect)
            await client.connect(
                running.own_page["Origin"],
                transports=[transport],
                namespaces=["/kefu"],
                auth=auth,
                wait_timeout=5,
            )
            return page

        yield connect


def hearing(page: Page, event: str) -> Callable[[Any], Awaitable[None]]:
    async def hear(data: Any) -> None:
        await page.hear(event, data)

    return hear


def timeless(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what changes after it was pushed."""
    return {name: value for name, value in message.items() if name != "state"}


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_page_gets_what_it_missed_and_then_what_comes(
    running: Any, connect: Connect, transport: str
) -> None:
    conversation = await running.converse()
    await conversation.say("m1", "one")
    page = await connect(running, conversation.auth(), transport=transport)
    assert await page.texts(2) == ["one", "echo one"]
    await conversation.say("m2", "two")
    assert await page.texts(4) == ["one", "echo one", "two", "echo two"]
    pushed = page.heard("messages")[-1]
    assert pushed["status"] == "bot"
    assert pushed["queue"] is None
    assert pushed["next_after"] == 4
    read = (await conversation.messages())["messages"]
    assert [timeless(message) for message in page.messages] == [timeless(one) for one in read]


async def test_an_empty_conversation_is_told_to_be_empty(running: Any, connect: Connect) -> None:
    page = await connect(running, (await running.converse()).auth())
    await page.until(lambda: bool(page.events))
    assert page.heard("messages") == [
        {"messages": [], "status": "bot", "queue": None, "next_after": 0}
    ]


async def test_catching_up_again_leaves_no_gap_and_repeats_nothing(
    running: Any, connect: Connect
) -> None:
    conversation = await running.converse()
    seen: list[int] = []
    for round_ in range(4):
        page = await connect(running, conversation.auth(after=seen[-1] if seen else 0))
        # While the page connects, while it is there, and after it has gone.
        await asyncio.gather(*(conversation.say(f"{round_}-{n}", f"text {n}") for n in range(5)))
        await page.until(lambda page=page: len(page.messages) >= 5)  # type: ignore[misc]
        await page.client.disconnect()
        seen += [message["seq"] for message in page.messages]
        await conversation.say(f"{round_}-away", "nobody looks")
    page = await connect(running, conversation.auth(after=seen[-1]))
    last = (await conversation.messages("?limit=200"))["messages"][-1]["seq"]
    await page.until(lambda: bool(page.messages) and page.messages[-1]["seq"] >= last)
    seen += [message["seq"] for message in page.messages]
    assert seen == list(range(1, last + 1))


async def test_a_long_history_comes_in_pages(running: Any, connect: Connect) -> None:
    conversation = await running.converse()
    for n in range(60):
        await conversation.say(f"m{n}", "hello", query="")
    await running.gateway.delivery.drain(10)
    page = await connect(running, conversation.auth())
    await page.texts(120)
    assert [message["seq"] for message in page.messages] == list(range(1, 121))
    assert [len(one["messages"]) for one in page.heard("messages")] == [100, 20]


async def poll(running: Any, query: str = "", data: str | None = None) -> str:
    """One request of a polling client that does only what it is told."""
    response = await running.client.request(
        "GET" if data is None else "POST",
        SOCKET + "polling" + query,
        data=data,
        headers=running.own_page,
    )
    assert response.status == 200
    return str(await response.text())


async def test_the_next_page_waits_until_the_last_was_taken(running: Any) -> None:
    conversation = await running.converse()
    said = [Reply(id=f"r{n}", text=str(n)) for n in range(350)]
    await running.gateway.journal.say(conversation.id, said)
    sid = "&sid=" + json.loads((await poll(running))[1:])["sid"]
    await poll(running, sid, "40/kefu," + json.dumps(conversation.auth()))
    heard: list[list[int]] = []
    while sum(map(len, heard)) < 350:
        packets = (await poll(running, sid)).split("\x1e")
        pages = [packet for packet in packets if packet.startswith("42/kefu,")]
        # Never two pages in one answer: the second is not even read before the first was taken.
        assert len(pages) <= 1
        for page in pages:
            _, data = json.loads(page.removeprefix("42/kefu,"))
            heard.append([message["seq"] for message in data["messages"]])
    assert [len(page) for page in heard] == [100, 100, 100, 50]
    assert [seq for page in heard for seq in page] == list(range(1, 351))


async def test_a_page_that_takes_nothing_is_let_go_and_the_others_are_not(
    running: Any, connect: Connect
) -> None:
    conversation = await running.converse()
    sid = "&sid=" + json.loads((await poll(running))[1:])["sid"]
    await poll(running, sid, "40/kefu," + json.dumps(conversation.auth()))
    page = await connect(running, conversation.auth())
    for n in range(120):
        running.gateway.journal.hub.publish(conversation.id, {"type": "typing", "author": "agent"})
        await page.until(lambda n=n: len(page.heard("typing")) > n)  # type: ignore[misc]
    packets = (await poll(running, sid)).split("\x1e")
    assert packets[-1] == "41/kefu,"
    assert sum("typing" in packet for packet in packets) <= 100
    await conversation.say("m1", "hello")
    assert await page.texts(2) == ["hello", "echo hello"]


async def test_pages_of_one_conversation_share_a_reading(
    running: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await running.converse()
    pages = [await connect(running, conversation.auth()) for _ in range(5)]
    for page in pages:
        await page.until(lambda page=page: bool(page.events))  # type: ignore[misc]
    reads: list[int] = []
    journal = running.gateway.journal
    original = type(journal).read

    async def read(self: Any, query: Any) -> Any:
        if getattr(query, "func", None) is not None and query.func.__name__ == "read_page":
            reads.append(query.keywords["after"])
        return await original(self, query)

    monkeypatch.setattr(type(journal), "read", read)
    await conversation.say("m1", "hello")
    for page in pages:
        assert await page.texts(2) == ["hello", "echo hello"]
    assert 1 <= len(reads) <= 3


async def test_typing_goes_from_the_customer_to_the_agent_and_back(
    running: Any, connect: Connect
) -> None:
    conversation = await running.converse()
    hub: Hub = running.gateway.journal.hub
    told: asyncio.Queue[Any] = asyncio.Queue()
    page = await connect(running, conversation.auth())
    hub.watch(conversation.id, lambda topic, event: told.put_nowait(event))
    for _ in range(3):
        await page.client.emit("typing", {}, namespace="/kefu")
    async with asyncio.timeout(5):
        assert await told.get() == {"type": "typing", "author": "customer"}
    hub.publish(conversation.id, {"type": "typing", "author": "agent"})
    await page.until(lambda: bool(page.heard("typing")))
    assert page.heard("typing") == [{"author": "agent"}]
    # Once a second at most.
    assert [told.get_nowait() for _ in range(told.qsize())] == [
        {"type": "typing", "author": "agent"}
    ]


async def test_a_status_is_pushed(running: Any, connect: Connect) -> None:
    conversation = await running.converse()
    page = await connect(running, conversation.auth())
    await page.until(lambda: bool(page.events))
    await running.gateway.journal.set_status(conversation.id, "agent")
    await page.until(lambda: bool(page.heard("status")))
    assert page.heard("status") == [{"status": "agent", "queue": None}]


async def test_an_erased_conversation_closes_its_pages(running: Any, connect: Connect) -> None:
    conversation = await running.converse()
    page = await connect(running, conversation.auth())
    await page.until(lambda: bool(page.events))
    gone = asyncio.Event()
    page.client.on("disconnect", lambda *reason: gone.set(), namespace="/kefu")
    await running.gateway.journal.write(
        lambda connection: connection.execute(
            delete(tables.conversation).where(tables.conversation.c.id == conversation.id)
        ),
        [(conversation.id, {"type": "messages"})],
    )
    async with asyncio.timeout(5):
        await gone.wait()
