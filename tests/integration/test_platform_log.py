"""What the messaging platforms keep in the log beside messages, on both databases."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from bot.log import cursors, passive, undelivered
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.records import Reply
from bot.log.tables import outbox
from bot.world import World

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
LIST = {"channel": "wecom", "account": "wk1"}


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[Journal]:
    upgrade(database_url)
    journal = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=World(),
    )
    journal.sending = frozenset({"wechat"})
    journal.start()
    yield journal
    await journal.close()


async def waiting(journal: Journal, account: str, *texts: str) -> str:
    """A conversation with messages in the outbox; returns its id."""
    conversation = await journal.open_conversation("wechat", account)
    replies = [Reply(id=f"{account}-{text}", text=text) for text in texts]
    assert await journal.say(conversation, replies) is not None
    return conversation


async def outbox_rows(journal: Journal) -> dict[str, Any]:
    rows = await journal.read(lambda connection: list(connection.execute(select(outbox))))
    return {row.id: row for row in rows}


async def test_a_notice_stays_open_until_it_was_read_and_the_cursor_goes_on(
    journal: Journal,
) -> None:
    async def stands() -> tuple[Any, ...]:
        (cursor,) = await journal.read(partial(cursors.load, channel="wecom"))
        return cursor.value, cursor.token, cursor.noted_at

    first = f"since:{int(NOW.timestamp())}"
    later = NOW + timedelta(microseconds=1)
    await journal.write(partial(cursors.note, **LIST, token="t1", now=NOW))
    assert await stands() == (first, "t1", NOW)
    assert await journal.write(partial(cursors.advance, **LIST, old=first, new="c1"))
    await journal.write(partial(cursors.note, **LIST, token="t2", now=later))
    assert await stands() == ("c1", "t2", later)
    assert not await journal.write(partial(cursors.settle, **LIST, noted_at=NOW))
    assert not await journal.write(partial(cursors.advance, **LIST, old=first, new="c9"))
    assert await journal.write(partial(cursors.settle, **LIST, noted_at=later))
    assert await journal.write(partial(cursors.settle, **LIST, noted_at=None))
    assert await stands() == ("c1", None, None)
    assert await journal.read(partial(cursors.load, channel="another")) == []


async def test_what_waits_is_taken_once_in_order_and_the_rest_stays(journal: Journal) -> None:
    conversation = await waiting(journal, "a", "one", "two", "three")
    await waiting(journal, "b", "other")
    seen: list[int] = []

    def two(rows: Any) -> int:
        seen.append(len(rows))
        return 2

    take = partial(passive.take, conversation_id=conversation, choose=two)
    assert [row["text"] for row in await journal.write(take)] == ["one", "two"]
    assert [row["text"] for row in await journal.write(take)] == ["three"]
    assert await journal.write(take) == []
    assert seen == [3, 1]
    states = {id_: row.state for id_, row in (await outbox_rows(journal)).items()}
    assert states == {"a-one": "sent", "a-two": "sent", "a-three": "sent", "b-other": "queued"}


async def test_a_reported_failure_is_marked_once_and_only_on_its_channel(
    journal: Journal,
) -> None:
    await waiting(journal, "a", "one")
    mark = partial(undelivered.mark, row="a-one", error="no " * 400)
    assert not await journal.write(partial(mark, channel="wecom"))
    assert await journal.write(partial(mark, channel="wechat"))
    assert not await journal.write(partial(mark, channel="wechat"))
    row = (await outbox_rows(journal))["a-one"]
    assert (row.state, len(row.error)) == ("failed", 500)


async def test_what_is_held_back_is_due_at_once_for_its_customer_only(journal: Journal) -> None:
    await waiting(journal, "a", "one")
    await waiting(journal, "b", "other")
    earlier = NOW - timedelta(days=1)
    hurry = partial(undelivered.hurry, channel="wechat", now=earlier)
    assert await journal.write(partial(hurry, account="a"))
    assert not await journal.write(partial(hurry, account="nobody"))
    rows = await outbox_rows(journal)
    assert rows["a-one"].next_at == earlier
    assert rows["b-other"].next_at > earlier
