"""What one gateway commits, the other hears of: no less, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from bot.log import store
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.push import AGENTS, MESSAGES, QUEUE, STATUS, Event, Listener
from bot.world import World, utc_now

CUT = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND query = 'LISTEN kefu'
"""


@dataclass(eq=False)
class Ear:
    """Remembers what it was told, and waits for it."""

    heard: asyncio.Queue[tuple[str, Event]] = field(default_factory=asyncio.Queue)

    def __call__(self, topic: str, event: Event) -> None:
        self.heard.put_nowait((topic, event))

    async def next(self) -> tuple[str, Event]:
        async with asyncio.timeout(20):
            return await self.heard.get()


@dataclass
class Gateway:
    """The part of a gateway that commits and hears."""

    journal: Journal
    listener: Listener

    async def ready(self) -> None:
        """Wait until it listens."""
        ear = Ear()
        unwatch = self.journal.hub.watch("ready", ear)
        self.listener.start()
        assert await ear.next() == ("ready", MESSAGES)
        unwatch()

    def watch(self, topic: str) -> Ear:
        ear = Ear()
        self.journal.hub.watch(topic, ear)
        return ear


@pytest.fixture
async def gateways(postgres_url: str) -> AsyncIterator[tuple[Gateway, Gateway]]:
    upgrade(postgres_url)
    pair = []
    for _ in range(2):
        journal = Journal(
            write_engine=open_engine(postgres_url, writer=True),
            read_engine=open_engine(postgres_url),
            world=World(),
        )
        journal.start()
        pair.append(Gateway(journal, Listener(postgres_url, journal.hub)))
        await pair[-1].ready()
    yield pair[0], pair[1]
    for gateway in pair:
        await gateway.listener.close()
        await gateway.journal.close()


async def test_a_commit_of_one_is_heard_in_the_other(gateways: tuple[Gateway, Gateway]) -> None:
    one, other = gateways
    conversation = await one.journal.open_conversation("api")
    here, there = one.watch(conversation), other.watch(conversation)
    agents = other.watch(AGENTS)
    await one.journal.set_status(conversation, "waiting")
    for ear in (here, there):
        assert await ear.next() == (conversation, STATUS)
    assert await agents.next() == (conversation, {"type": "conversation", "id": conversation})
    assert await agents.next() == (AGENTS, QUEUE)
    # What is heard is there to be read.
    row = await other.journal.conversation(conversation)
    assert row is not None
    assert row["status"] == "waiting"
    # And once in each: the next is the next.
    await other.journal.set_status(conversation, "bot")
    for ear in (here, there):
        assert await ear.next() == (conversation, STATUS)
        assert ear.heard.empty()


async def test_what_was_rolled_back_is_heard_nowhere(gateways: tuple[Gateway, Gateway]) -> None:
    one, other = gateways
    conversation = await one.journal.open_conversation("api")
    here, there = one.watch(conversation), other.watch(conversation)

    def fail(connection: Connection) -> bool:
        store.set_status(connection, conversation_id=conversation, status="closed", now=utc_now())
        connection.execute(text("SELECT pg_notify('kefu', '[\"x\", \"y\", {}]')"))
        raise ZeroDivisionError

    def succeed(connection: Connection) -> bool:
        return True

    # All in one batch: the first time all of it is rolled back.
    units: list[tuple[Any, str]] = [(succeed, "first"), (fail, "lost"), (succeed, "second")]
    done = await asyncio.gather(
        *(
            one.journal.write(unit, [(conversation, {"type": "messages", "of": name})])
            for unit, name in units
        ),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in done] == [bool, ZeroDivisionError, bool]
    for ear in (here, there):
        said = [await ear.next(), await ear.next()]
        assert [event["of"] for _, event in said] == ["first", "second"]
        assert ear.heard.empty()
    row = await other.journal.conversation(conversation)
    assert row is not None
    assert row["status"] == "bot"


async def test_typing_is_heard_everywhere_and_kept_nowhere(
    gateways: tuple[Gateway, Gateway],
) -> None:
    one, other = gateways
    typing = {"type": "typing", "author": "agent"}
    here, there = one.watch("a"), other.watch("a")
    one.journal.hub.publish("a", typing)
    one.journal.hub.publish("a", STATUS)
    for ear in (here, there):
        assert [await ear.next(), await ear.next()] == [("a", typing), ("a", STATUS)]


async def test_after_a_lost_connection_everyone_reads_again(
    gateways: tuple[Gateway, Gateway], postgres_url: str
) -> None:
    one, other = gateways
    conversation = await one.journal.open_conversation("api")
    there, agents = other.watch(conversation), other.watch(AGENTS)

    def cut() -> int:
        engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            count = len(connection.execute(text(CUT)).all())
        engine.dispose()
        return count

    assert await asyncio.to_thread(cut) == 2
    # Said while nobody listens, or just after: it is read either way.
    await one.journal.write(
        partial(store.set_status, conversation_id=conversation, status="closed", now=utc_now()),
        [(conversation, STATUS)],
    )
    heard = [await there.next(), await there.next()]
    assert (conversation, MESSAGES) in heard
    assert (conversation, STATUS) in heard
    while await agents.next() != (AGENTS, QUEUE):
        pass
    # And from then on as before.
    ear = other.watch("later")
    one.journal.hub.publish("later", MESSAGES)
    assert await ear.next() == ("later", MESSAGES)


async def test_a_closed_listener_hears_no_more(gateways: tuple[Gateway, Gateway]) -> None:
    one, other = gateways
    there = other.watch("a")
    await other.listener.close()
    one.journal.hub.publish("a", MESSAGES)
    other.journal.hub.publish("a", STATUS)
    assert await there.next() == ("a", STATUS)
    assert there.heard.empty()
