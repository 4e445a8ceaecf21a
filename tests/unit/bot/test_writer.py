"""Units of work share a commit; a bad one hurts nobody else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from bot.errors import StorageError
from bot.log.database import open_engine
from bot.log.writer import Writer


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_engine(f"sqlite:///{tmp_path / 'w.db'}", writer=True)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER UNIQUE)"))
    return engine


@pytest.fixture
async def writer(engine: Engine) -> AsyncIterator[Writer]:
    writer = Writer(engine)
    writer.start()
    yield writer
    await writer.close()
    engine.dispose()


def insert(number: int) -> Any:
    def unit(connection: Connection) -> int:
        connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": number})
        return number

    return unit


async def test_what_is_queued_shares_commits(writer: Writer, engine: Engine) -> None:
    commits: list[Connection] = []
    event.listen(engine, "commit", commits.append)
    done = await asyncio.gather(*(writer.submit(insert(number)) for number in range(100)))
    assert done == list(range(100))
    assert len(commits) < 50


async def test_one_bad_unit_fails_alone(writer: Writer, engine: Engine) -> None:
    def broken(connection: Connection) -> None:
        connection.execute(text("INSERT INTO t VALUES (1000)"))
        raise ValueError("mine")

    outcomes = await asyncio.gather(
        writer.submit(insert(1)),
        writer.submit(insert(1)),
        writer.submit(broken),
        writer.submit(insert(2)),
        return_exceptions=True,
    )
    assert outcomes[0] == 1
    assert isinstance(outcomes[1], StorageError)
    assert isinstance(outcomes[2], ValueError)
    assert outcomes[3] == 2
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT n FROM t ORDER BY n")).scalars().all()
    assert kept == [1, 2]


async def test_results_are_told_in_the_order_of_the_commits(writer: Writer) -> None:
    told: list[int] = []
    await asyncio.gather(*(writer.submit(insert(number), told.append) for number in range(50)))
    assert told == list(range(50))


async def test_a_result_is_told_even_when_nobody_waits(writer: Writer) -> None:
    told: list[int] = []
    writer.submit(insert(1), told.append).cancel()
    await writer.submit(insert(2))
    assert told == [1]


async def test_closing_writes_what_is_queued(writer: Writer, engine: Engine) -> None:
    pending = [writer.submit(insert(number)) for number in range(10)]
    await writer.close()
    assert [await done for done in pending] == list(range(10))
    assert not writer.alive


async def test_a_follow_up_that_fails_holds_up_no_other(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(result: int) -> None:
        raise ZeroDivisionError

    assert await asyncio.gather(
        writer.submit(insert(1), fail), writer.submit(insert(2)), writer.submit(insert(3), fail)
    )
    assert "commit not followed up" in caplog.text
    await writer.submit(insert(4))


async def test_a_database_that_cannot_be_opened_is_told_and_tried_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(engine)
    with monkeypatch.context() as patched:

        def fail() -> None:
            raise OSError("no such server")

        patched.setattr(engine, "connect", fail)
        writer.start()
        with pytest.raises(StorageError, match="no such server"):
            await writer.submit(insert(1))
    assert writer.alive
    await writer.submit(insert(2))
    await writer.close()
