"""Two gateways on one PostgreSQL: one order, one answer, and either may die."""

import asyncio
import random
import signal
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text

from bot.log.database import open_engine


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


def answers_of(database_url: str, conversation_id: str) -> list[str]:
    engine = open_engine(database_url)
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT text FROM message WHERE conversation_id = :id AND direction = 'out' "
                "ORDER BY seq"
            ),
            {"id": conversation_id},
        ).scalars()
        found = list(rows)
    engine.dispose()
    return found


async def open_conversation(session: aiohttp.ClientSession, url: str) -> tuple[str, str]:
    async with session.post(f"{url}/api/v1/conversations") as response:
        opened = await response.json()
    return opened["conversation_id"], opened["token"]


async def until_answered(database_url: str, conversation_id: str, count: int) -> list[str]:
    async with asyncio.timeout(60):
        while True:
            found = await asyncio.to_thread(answers_of, database_url, conversation_id)
            if len(found) >= count:
                return found
            await asyncio.sleep(0.1)


async def test_messages_that_alternate_between_gateways_keep_their_order(
    start_gateway: Any, dialogue: Any, send_until_taken: Any, database_url: str
) -> None:
    gateways = [await start_gateway(), await start_gateway()]
    texts = [f"text {number}" for number in range(12)]
    async with aiohttp.ClientSession() as session:
        opened = [await open_conversation(session, gateways[0].url) for _ in range(10)]

        async def talk(conversation_id: str, token: str, first: int) -> None:
            for number, said in enumerate(texts):
                gateway = gateways[(first + number) % 2]
                url = f"{gateway.url}/api/v1/conversations/{conversation_id}/messages"
                await send_until_taken(session, [url], token, {"id": said, "text": said})

        await asyncio.gather(*(talk(*one, first) for first, one in enumerate(opened)))
    for conversation_id, _ in opened:
        found = await until_answered(database_url, conversation_id, len(texts))
        assert found == [f"echo {said}" for said in texts]
    assert dialogue.order == {conversation_id: texts for conversation_id, _ in opened}


async def test_the_other_gateway_answers_what_a_killed_one_had_accepted(
    start_gateway: Any, dialogue: Any, send_until_taken: Any, database_url: str
) -> None:
    lost, left = await start_gateway(), await start_gateway()
    # Long enough that nothing is answered before the kill.
    dialogue.delay_s = 2.0
    async with aiohttp.ClientSession() as session:
        opened = [await open_conversation(session, lost.url) for _ in range(5)]
        for conversation_id, token in opened:
            url = f"{lost.url}/api/v1/conversations/{conversation_id}/messages"
            for said in ("one", "two"):
                await send_until_taken(session, [url], token, {"id": said, "text": said})
        assert await lost.stop(signal.SIGKILL) == -signal.SIGKILL
        dialogue.delay_s = 0.002
        # A later message at the gateway that is left waits for those before it, and drives them.
        conversation_id, token = opened[0]
        url = f"{left.url}/api/v1/conversations/{conversation_id}/messages"
        await send_until_taken(session, [url], token, {"id": "three", "text": "three"})
        found = await until_answered(database_url, conversation_id, 3)
        assert found == ["echo one", "echo two", "echo three"]
    # The others are found by the sweep: nobody writes in them any more.
    for conversation_id, _ in opened[1:]:
        assert await until_answered(database_url, conversation_id, 2) == ["echo one", "echo two"]


async def test_killed_in_turn_under_load_they_lose_and_double_nothing(
    start_gateway: Any, dialogue: Any, send_until_taken: Any, database_url: str
) -> None:
    gateways = [await start_gateway(), await start_gateway()]
    texts = [f"text {number}" for number in range(15)]
    async with aiohttp.ClientSession() as session:
        opened = [await open_conversation(session, gateways[0].url) for _ in range(10)]

        async def talk(conversation_id: str, token: str) -> None:
            path = f"/api/v1/conversations/{conversation_id}/messages"
            for number, said in enumerate(texts):
                # Whichever gateway is up: the load balancer in front does this.
                urls = [gateways[(number + turn) % 2].url + path for turn in range(2)]
                await send_until_taken(session, urls, token, {"id": said, "text": said})

        async def kill() -> None:
            chance = random.Random(5)
            for number in range(4):
                await asyncio.sleep(chance.uniform(0.05, 0.2))
                await gateways[number % 2].stop(signal.SIGKILL)
                await gateways[number % 2].start()

        await asyncio.gather(kill(), *(talk(*one) for one in opened))
    for conversation_id, _ in opened:
        found = await until_answered(database_url, conversation_id, len(texts))
        assert found == [f"echo {said}" for said in texts]
    assert dialogue.order == {conversation_id: texts for conversation_id, _ in opened}
