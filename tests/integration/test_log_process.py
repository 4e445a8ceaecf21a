"""The gateway as a process of its own, killed and stopped, on both databases."""

import asyncio
import random
import signal
from collections import Counter
from typing import Any

import aiohttp
from sqlalchemy import text

from bot.log.database import open_engine


async def test_killed_under_load_it_loses_and_doubles_nothing(
    start_gateway: Any, dialogue: Any, send_until_taken: Any, database_url: str
) -> None:
    gateway = await start_gateway()
    conversations, messages, kills = 20, 15, 2
    texts = [f"text {number}" for number in range(messages)]
    tokens: dict[str, str] = {}
    async with aiohttp.ClientSession() as session:
        for _ in range(conversations):
            async with session.post(f"{gateway.url}/api/v1/conversations") as response:
                opened = await response.json()
            tokens[opened["conversation_id"]] = opened["token"]

        async def talk(conversation_id: str) -> None:
            url = f"{gateway.url}/api/v1/conversations/{conversation_id}/messages"
            for said in texts:
                body = {"id": said, "text": said}
                await send_until_taken(session, [url], tokens[conversation_id], body)

        async def kill() -> None:
            chance = random.Random(7)
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.05, 0.15))
                assert await gateway.stop(signal.SIGKILL) == -signal.SIGKILL
                await gateway.start()

        await asyncio.gather(kill(), *map(talk, tokens))
    # SIGTERM: what was accepted is answered first.
    assert await gateway.stop(signal.SIGTERM) == 0

    assert dialogue.order == dict.fromkeys(tokens, texts)
    engine = open_engine(database_url)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT direction, state, conversation_id, text FROM message ORDER BY seq")
        ).all()
        turns = connection.execute(text("SELECT count(*) FROM turn")).scalar_one()
    engine.dispose()
    assert Counter((row.direction, row.state) for row in rows) == {
        ("in", "answered"): conversations * messages,
        ("out", "sent"): conversations * messages,
    }
    assert turns == conversations * messages
    for conversation_id in tokens:
        answers = [
            row.text
            for row in rows
            if row.conversation_id == conversation_id and row.direction == "out"
        ]
        assert answers == [f"echo {said}" for said in texts]
