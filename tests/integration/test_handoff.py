"""The handoff on both databases: of all who try at once, in several gateways, one succeeds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from bot import agents
from bot.agents import Agent
from bot.errors import RequestError, StorageError
from bot.handoff.desk import Desk
from bot.handoff.policy import Policy
from bot.handoff.sweep import Sweep
from bot.log import database, tables
from bot.log.journal import Journal
from bot.log.listing import Wanted, listed, read_cursor, write_cursor
from bot.log.records import Reply
from bot.turns import HandBack, TurnRequest
from bot.world import World, utc_now

GATEWAYS, AGENTS, CONVERSATIONS = 3, 4, 12


class Dialogue:
    """Hears of hand-backs."""

    async def turn(self, request: TurnRequest) -> dict[str, Any]:
        raise AssertionError

    async def hand_back(self, event: HandBack) -> None:
        return None

    async def ready(self) -> str | None:
        return None


@pytest.fixture
async def desks(database_url: str) -> AsyncIterator[list[Desk]]:
    """Gateways on one database."""
    database.upgrade(database_url)
    journals = [
        Journal(
            write_engine=database.open_engine(database_url, writer=True),
            read_engine=database.open_engine(database_url),
            world=World(),
        )
        for _ in range(GATEWAYS)
    ]
    for journal in journals:
        journal.start()
    policy = Policy(wait_s=60, idle_s=60)
    yield [Desk(one, Dialogue(), policy, lambda text: text, World()) for one in journals]
    for journal in journals:
        await journal.close()


async def employ(desk: Desk, count: int) -> list[Agent]:
    found = []
    for number in range(count):
        unit = partial(
            agents.add, id_=f"a-{number}", name=f"Agent {number}", role="agent", now=utc_now()
        )
        added = await desk._journal.write(unit)
        assert added is not None
        found.append(added[0])
    return found


async def count_notices(desk: Desk, name: str) -> dict[str, int]:
    """How often each conversation was told something."""
    message = tables.message

    def query(connection: Any) -> dict[str, int]:
        rows = connection.execute(
            select(message.c.conversation_id, message.c.metadata).where(
                message.c.author == "system"
            )
        )
        found: dict[str, int] = {}
        for id_, metadata in rows:
            if metadata["notice"] == name:
                found[id_] = found.get(id_, 0) + 1
        return found

    return await desk._journal.read(query)


async def test_a_conversation_is_taken_once_whoever_tries(desks: list[Desk]) -> None:
    colleagues = await employ(desks[0], AGENTS)
    ids = [await desks[0]._journal.open_conversation("api") for _ in range(CONVERSATIONS)]
    await asyncio.gather(*(desks[n % GATEWAYS].ask(id_) for n, id_ in enumerate(ids)))

    async def attempt(desk: Desk, id_: str, agent: Agent) -> str | None:
        try:
            return str((await desk.take(id_, agent))["agent_id"])
        except RequestError as refusal:
            return None if refusal.status == 409 else str(refusal)

    attempts = [(desk, id_, agent) for id_ in ids for desk in desks for agent in colleagues]
    won = await asyncio.gather(*(attempt(*one) for one in attempts))
    for id_ in ids:
        holders = {
            result for result, (_, of, _) in zip(won, attempts, strict=True) if of == id_ and result
        }
        assert len(holders) == 1, holders
    assert await count_notices(desks[0], "joined") == dict.fromkeys(ids, 1)
    audits = await desks[0]._journal.read(
        lambda connection: connection.execute(
            select(func.count()).select_from(tables.audit).where(tables.audit.c.action == "take")
        ).scalar_one()
    )
    assert audits == CONVERSATIONS


async def test_an_agents_message_is_said_once_through_any_gateway(desks: list[Desk]) -> None:
    (anna,) = await employ(desks[0], 1)
    id_ = await desks[0]._journal.open_conversation("api")
    await desks[0].take(id_, anna)
    said = await asyncio.gather(
        *(desk.say(id_, anna, "a-1", Reply(id="", text="hello")) for desk in desks * 3)
    )
    assert {row["seq"] for row in said} == {said[0]["seq"]}
    assert {row["id"] for row in said} == {said[0]["id"]}


async def test_the_clock_acts_once_in_several_gateways(desks: list[Desk]) -> None:
    ids = [await desks[0]._journal.open_conversation("api") for _ in range(CONVERSATIONS)]
    for id_ in ids:
        await desks[0].ask(id_)
    later = World(now=lambda: utc_now() + timedelta(seconds=61))
    sweeps = [
        Sweep(desk._journal, Desk(desk._journal, Dialogue(), desk.policy, str, later), later)
        for desk in desks
    ]

    async def act(sweep: Sweep) -> None:
        # As the running sweep does: what the database did not take is tried again next time.
        with suppress(StorageError):
            await sweep.once()
            return
        await sweep.once()

    await asyncio.gather(*map(act, sweeps))
    assert await count_notices(desks[0], "nobody_came") == dict.fromkeys(ids, 1)


async def test_the_queue_has_one_order_everywhere(desks: list[Desk]) -> None:
    ids = []
    for number in range(CONVERSATIONS):
        id_ = await desks[0]._journal.open_conversation("api")
        ids.append(id_)
        await desks[0].ask(id_)
        if number % 3 == 0:
            await desks[0]._journal.write(
                lambda connection, id_=id_: (
                    connection.execute(
                        tables.conversation.update()
                        .where(tables.conversation.c.id == id_)
                        .values(handoff_reason="emotion")
                    ).rowcount
                )
            )
    order = [*ids[::3], *(id_ for n, id_ in enumerate(ids) if n % 3)]
    places = [await desks[1].queue_of(id_) for id_ in order]
    assert [place and place["position"] for place in places] == [*range(1, CONVERSATIONS + 1)]
    found: list[str] = []
    after = None
    while True:
        wanted = Wanted(status="waiting", limit=5, after=after)
        rows, end = await desks[2]._journal.read(partial(listed, wanted=wanted))
        found += [row["id"] for row in rows]
        if end is None:
            break
        after = read_cursor(write_cursor(end))
        assert after == end
    assert found == order
