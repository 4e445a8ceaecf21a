"""One gateway at a time does a conversation's turns, whatever becomes of the connection."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import create_engine, text

from bot.errors import StorageError
from bot.locks import AdvisoryLocks

CUT = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def gateways(postgres_url: str) -> AsyncIterator[tuple[AdvisoryLocks, AdvisoryLocks]]:
    pair = AdvisoryLocks(postgres_url), AdvisoryLocks(postgres_url)
    for locks in pair:
        locks.start()
    yield pair
    for locks in pair:
        await locks.close()


def on_server(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


async def given(locks: AdvisoryLocks) -> None:
    """Wait until what was given back is back: wishes are served in order."""
    assert await locks.take("nothing else")
    locks.give("nothing else")


async def test_a_conversation_is_one_gateways_until_it_is_given_back(
    gateways: tuple[AdvisoryLocks, AdvisoryLocks],
) -> None:
    one, other = gateways
    assert await one.take("a")
    assert not await other.take("a")
    assert await other.take("b")
    one.give("a")
    await given(one)
    assert await other.take("a")
    assert not await one.take("a")


async def test_it_is_held_as_often_as_it_was_taken(
    gateways: tuple[AdvisoryLocks, AdvisoryLocks],
) -> None:
    one, other = gateways
    assert await one.take("a")
    assert await one.take("a")
    one.give("a")
    await given(one)
    assert not await other.take("a")
    one.give("a")
    await given(one)
    assert await other.take("a")


async def test_of_many_at_once_each_has_one_owner(
    gateways: tuple[AdvisoryLocks, AdvisoryLocks],
) -> None:
    names = [str(number) for number in range(600)]
    taken = await asyncio.gather(*(locks.take(name) for name in names for locks in gateways))
    owners = Counter(
        name
        for name, success in zip([name for name in names for _ in gateways], taken, strict=True)
        if success
    )
    assert owners == dict.fromkeys(names, 1)


async def test_a_gateway_that_ends_leaves_nothing_locked(
    gateways: tuple[AdvisoryLocks, AdvisoryLocks],
) -> None:
    one, other = gateways
    assert await one.take("a")
    await one.close()
    assert await other.take("a")


async def test_a_connection_that_is_cut_lets_go_and_is_made_anew(
    gateways: tuple[AdvisoryLocks, AdvisoryLocks], postgres_url: str
) -> None:
    one, other = gateways
    assert await one.take("a")
    assert not await other.take("a")
    await asyncio.to_thread(on_server, postgres_url, CUT)
    # Neither knows yet: the first to ask hears of it.
    for locks in (one, other):
        with pytest.raises(StorageError):
            await locks.take("b")
    assert await other.take("a")
    # What is given back late is another's by now.
    one.give("a")
    await given(one)
    assert not await one.take("a")


async def test_while_the_server_is_away_it_says_so_and_goes_on_afterwards(
    gateways: tuple[AdvisoryLocks, AdvisoryLocks], postgres_url: str, postgres_server: str
) -> None:
    one, _ = gateways
    assert await one.take("a")
    name = postgres_url.split("?")[0].rpartition("/")[2]
    closed = f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false'
    cut = CUT.replace("current_database()", f"'{name}'")
    await asyncio.to_thread(on_server, postgres_server, closed, cut)
    for _ in range(3):
        with pytest.raises(StorageError):
            await one.take("b")
    one.give("a")
    opened = closed.replace("false", "true")
    await asyncio.to_thread(on_server, postgres_server, opened)
    assert await one.take("b")
