"""An agent's console over the socket: who gets in, and what it hears."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import socketio

from bot import agents
from bot.push import NOTES
from bot.sockets import agent_socket
from bot.world import utc_now
from tests.unit.bot.colleagues import Colleague, call, employ
from tests.unit.bot.conftest import Conversation, Running

NAMESPACE = "/agent"
EVENTS = ("queue", "conversation", "messages", "status", "typing", "gone", "notes", "assigned")


@dataclass
class Console:
    """An open console and what it was sent."""

    client: socketio.AsyncClient
    heard: list[tuple[str, Any]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def hear(self, event: str) -> Callable[[Any], Awaitable[None]]:
        async def hear(data: Any) -> None:
            async with self.changed:
                self.heard.append((event, data))
                self.changed.notify_all()

        return hear

    async def until(self, event: str, **fields: Any) -> Any:
        """Wait for an event with these fields, earlier ones included; what it carried."""

        def found() -> Any:
            for name, data in self.heard:
                if name == event and fields.items() <= data.items():
                    return data
            return None

        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: found() is not None)
        return found()

    async def call(self, event: str, data: Any) -> Any:
        return await self.client.call(event, data, namespace=NAMESPACE, timeout=10)


Connect = Callable[[Running, Any], Awaitable[Console]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens a console."""
    async with AsyncExitStack() as stack:

        async def connect(running: Running, auth: Any) -> Console:
            own = str(running.client.make_url("/")).rstrip("/")
            session = aiohttp.ClientSession(headers={"Origin": own})
            stack.push_async_callback(session.close)
            client = socketio.AsyncClient(http_session=session, reconnection=False)
            console = Console(client)
            for event in EVENTS:
                client.on(event, console.hear(event), namespace=NAMESPACE)
            stack.push_async_callback(client.disconnect)
            await client.connect(
                own, transports=["websocket"], namespaces=[NAMESPACE], auth=auth, wait_timeout=5
            )
            return console

        yield connect


@pytest.fixture
async def anna(running: Running) -> Colleague:
    return await employ(running, "Anna")


def token_of(colleague: Colleague) -> dict[str, str]:
    return {"token": colleague.headers["Authorization"].removeprefix("Bearer ")}


@pytest.mark.parametrize("auth", [None, {}, {"token": 7}, {"token": ""}, {"token": "forged"}])
async def test_only_agents_get_in(running: Running, connect: Connect, auth: Any) -> None:
    with pytest.raises(socketio.exceptions.ConnectionError):
        await connect(running, auth)


async def test_a_customers_token_is_no_agents(running: Running, connect: Connect) -> None:
    customer = await running.converse()
    with pytest.raises(socketio.exceptions.ConnectionError):
        await connect(running, {"token": customer.token, "conversation_id": customer.id})


async def test_the_console_hears_of_the_queue_and_of_what_it_watches(
    running: Running, connect: Connect, anna: Colleague
) -> None:
    console = await connect(running, token_of(anna))
    customer = await running.converse()
    await call(customer)
    await console.until("queue")
    await console.until("conversation", id=customer.id)
    watching = await console.call("watch", {"conversation_id": customer.id})
    assert watching == {"watching": customer.id}
    first = await console.until("messages", conversation_id=customer.id)
    assert [m["metadata"]["notice"] for m in first["messages"]] == ["called", "next"]
    assert first["status"] == "waiting"
    await anna.do(customer, "take")
    await console.until("status", conversation_id=customer.id, status="agent")
    await customer.say("m-1", "finally", query="")
    async with asyncio.timeout(10), console.changed:
        await console.changed.wait_for(
            lambda: any(
                message["text"] == "finally"
                for name, data in console.heard
                if name == "messages"
                for message in data["messages"]
            )
        )


async def test_typing_goes_both_ways(running: Running, connect: Connect, anna: Colleague) -> None:
    console = await connect(running, token_of(anna))
    customer = await running.converse()
    await anna.do(customer, "take")
    await console.call("watch", {"conversation_id": customer.id})
    hub = running.gateway.journal.hub
    hub.publish(customer.id, {"type": "typing", "author": "customer"})
    await console.until("typing", conversation_id=customer.id, author="customer")
    seen = asyncio.Event()
    stop = hub.watch(
        customer.id,
        lambda topic, event: seen.set() if event.get("author") == "agent" else None,
    )
    await console.client.emit("typing", {"conversation_id": customer.id}, namespace=NAMESPACE)
    async with asyncio.timeout(10):
        await seen.wait()
    stop()


async def test_what_is_watched_no_longer_is_not_pushed(
    running: Running, connect: Connect, anna: Colleague
) -> None:
    console = await connect(running, token_of(anna))
    quiet, loud = await running.converse(), await running.converse()
    for one in (quiet, loud):
        await console.call("watch", {"conversation_id": one.id})
    await console.call("unwatch", {"conversation_id": quiet.id})
    await quiet.say("m-1", "psst")
    await loud.say("m-1", "hello")
    await console.until("messages", conversation_id=loud.id, next_after=2)
    pushed = [data for name, data in console.heard if name == "messages"]
    assert all(not data["messages"] for data in pushed if data["conversation_id"] == quiet.id)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (None, 400),
        ("x", 400),
        ({}, 400),
        ({"conversation_id": 7}, 400),
        ({"conversation_id": "no\0where"}, 400),
        ({"conversation_id": "nowhere"}, 404),
        ({"conversation_id": "nowhere", "after": -1}, 400),
        ({"conversation_id": "nowhere", "after": True}, 400),
        ({"conversation_id": "nowhere", "after": 2**70}, 400),
    ],
)
async def test_a_bad_watch_is_refused_and_the_console_stays(
    running: Running, connect: Connect, anna: Colleague, data: Any, status: int
) -> None:
    console = await connect(running, token_of(anna))
    assert (await console.call("watch", data))["error"]["status"] == status
    customer = await running.converse()
    assert "watching" in await console.call("watch", {"conversation_id": customer.id})


async def test_a_removed_agents_console_is_closed(
    running: Running, connect: Connect, anna: Colleague, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_socket, "_RECHECK_S", 0.0)
    console = await connect(running, token_of(anna))
    closed = asyncio.Event()
    console.client.on("disconnect", lambda *reason: closed.set(), namespace=NAMESPACE)
    await dismiss(running, "Anna")
    await call(await running.converse())
    async with asyncio.timeout(10):
        await closed.wait()
    assert console.heard == []


async def dismiss(running: Running, name: str) -> None:
    await running.gateway.journal.write(
        lambda connection: agents.remove(connection, name=name, now=utc_now())
    )


async def test_who_was_removed_can_watch_nothing_more_however_quiet_it_is(
    running: Running, connect: Connect, anna: Colleague
) -> None:
    console = await connect(running, token_of(anna))
    closed = asyncio.Event()
    console.client.on("disconnect", lambda *reason: closed.set(), namespace=NAMESPACE)
    customer = await running.converse()
    await customer.say("m-1", "my own words")
    await dismiss(running, "Anna")
    answer = await console.call("watch", {"conversation_id": customer.id})
    assert answer["error"]["status"] == 401
    async with asyncio.timeout(10):
        await closed.wait()
    assert "messages" not in [name for name, _ in console.heard]


async def test_who_was_removed_is_pushed_nothing_of_what_they_watch(
    running: Running, connect: Connect, anna: Colleague, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = await connect(running, token_of(anna))
    closed = asyncio.Event()
    console.client.on("disconnect", lambda *reason: closed.set(), namespace=NAMESPACE)
    customer = await running.converse()
    await console.call("watch", {"conversation_id": customer.id})
    await console.until("messages", conversation_id=customer.id)
    monkeypatch.setattr(agent_socket, "_RECHECK_S", 0.0)
    await dismiss(running, "Anna")
    await customer.say("m-1", "my own words")
    async with asyncio.timeout(10):
        await closed.wait()
    said = [data["messages"] for name, data in console.heard if name == "messages"]
    assert "my own words" not in str(said)


async def test_a_watch_is_on_record(running: Running, connect: Connect, anna: Colleague) -> None:
    from sqlalchemy import select

    from bot.log.tables import audit

    console = await connect(running, token_of(anna))
    customer: Conversation = await running.converse()
    await console.call("watch", {"conversation_id": customer.id})
    rows = await running.gateway.journal.read(
        lambda connection: [
            tuple(row)
            for row in connection.execute(select(audit.c.actor, audit.c.action, audit.c.target))
        ]
    )
    assert (anna.id, "read_transcript", customer.id) in rows


async def test_whom_a_conversation_is_left_to_hears_of_it_and_of_notes_who_watches(
    running: Running, connect: Connect
) -> None:
    anna, ben = await employ(running, "Anna"), await employ(running, "Ben")
    customer = await running.converse()
    at_anna, at_ben = [await connect(running, token_of(one)) for one in (anna, ben)]
    status, row = await anna.do(customer, "assign", agent_id=ben.id)
    assert (status, row["assignee_id"], row["status"]) == (200, ben.id, "bot")
    told = await at_ben.until("assigned", conversation_id=customer.id)
    assert told["by"] == "Anna"
    await at_anna.call("watch", {"conversation_id": customer.id})
    running.gateway.journal.hub.publish(customer.id, NOTES)
    await at_anna.until("notes", conversation_id=customer.id)
    await at_ben.call("watch", {"conversation_id": customer.id})
    await at_ben.call("unwatch", {"conversation_id": customer.id})
    running.gateway.journal.hub.publish(customer.id, NOTES)
    await at_ben.call("watch", {"conversation_id": customer.id})
    assert [name for name, _ in at_ben.heard if name == "notes"] == []
    assert [name for name, _ in at_anna.heard if name == "assigned"] == []


async def test_a_customer_hears_of_no_note(running: Running) -> None:
    customer = await running.converse()
    own = str(running.client.make_url("/")).rstrip("/")
    async with aiohttp.ClientSession(headers={"Origin": own}) as session:
        client = socketio.AsyncClient(http_session=session, reconnection=False)
        heard: list[str] = []
        said = asyncio.Event()

        async def hear(event: str, data: Any) -> None:
            heard.append(event)
            if event == "messages" and data["messages"]:
                said.set()

        client.on("*", hear, namespace="/kefu")
        await client.connect(own, namespaces=["/kefu"], auth=customer.auth(), wait_timeout=5)
        running.gateway.journal.hub.publish(customer.id, NOTES)
        await customer.say("m-1", "hello")
        async with asyncio.timeout(10):
            await said.wait()
        await client.disconnect()
    assert set(heard) <= {"messages", "status", "__disconnect_final"}
