"""The log keeps each message and each turn once, on both databases."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, text

from bot.errors import NotStorable, StorageError
from bot.log import outbox, reader, store
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.records import Accepted, Finish, Inbound, Reply, TurnRecord
from bot.world import World, sortable_id, utc_now


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[Journal]:
    upgrade(database_url)
    journal = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=World(),
    )
    journal.start()
    yield journal
    await journal.close()


async def accept(journal: Journal, conversation_id: str, id_: str, text: str) -> Accepted:
    accepted = await journal.accept(
        Inbound(
            conversation_id=conversation_id,
            channel="api",
            account=conversation_id,
            message_id=id_,
            text=text,
        ),
        f"hash of {text}",
        lambda accepted: None,
    )
    assert accepted is not None
    return accepted


def turn_of(accepted: Accepted, *, text: str = "hello", **changes: Any) -> Finish:
    fields: dict[str, Any] = {
        "accepted": accepted,
        "state": "answered",
        "turn": TurnRecord(
            id=sortable_id(),
            text=text,
            intent="greet",
            confidence=0.9,
            ranking=[{"name": "greet", "confidence": 0.9}],
            entities=[{"entity": "product", "value": "Kessel für 2 \U0001f600"}],
            timings={"nlu": 1.5},
        ),
        "replies": [
            Reply(id=sortable_id(), text="hi", buttons=[{"title": "a", "payload": "/a"}]),
            Reply(id=sortable_id(), extra={"image": "x"}, metadata={"qa": {"id": "1"}}),
        ],
    }
    return Finish(**(fields | changes))


async def test_a_slow_page_keeps_no_turn_waiting(journal: Journal) -> None:
    done = threading.Event()
    pages = [asyncio.create_task(journal.browse(lambda _: done.wait())) for _ in range(20)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            assert await journal.unanswered() == []
    finally:
        done.set()
        await asyncio.gather(*pages)


async def test_after_the_timeout_the_thread_is_free_again(database_url: str) -> None:
    endless = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT count(*) FROM n",
        "postgresql": "SELECT pg_sleep(600)",
    }
    engine = open_engine(database_url)
    one = reader.Reader(engine, threads=1, timeout_s=1.0)

    def slow(connection: Connection) -> None:
        connection.execute(text(endless[connection.dialect.name]))

    with pytest.raises((TimeoutError, StorageError)):
        await one.run(slow)
    assert await one.run(lambda connection: connection.scalar(text("SELECT 7"))) == 7
    await one.close()
    with pytest.raises(StorageError, match="closed"):
        await one.run(slow)
    engine.dispose()


async def test_a_message_is_kept_once(journal: Journal) -> None:
    conversation = await journal.open_conversation("api")
    first = await accept(journal, conversation, "m1", "hello")
    again = await accept(journal, conversation, "m1", "hello")
    other = await accept(journal, conversation, "m1", "bye")
    assert (first.seq, first.duplicate) == (1, False)
    assert (again.id, again.seq, again.duplicate, again.same_text) == (first.id, 1, True, True)
    assert (other.duplicate, other.same_text) == (True, False)
    assert again.created_at == first.created_at
    assert (await accept(journal, conversation, "m2", "more")).seq == 2


async def test_messages_at_once_get_numbers_without_gaps(journal: Journal) -> None:
    conversation = await journal.open_conversation("api")
    accepted = await asyncio.gather(
        *(accept(journal, conversation, str(number % 30), "x") for number in range(60))
    )
    assert sorted({one.seq for one in accepted}) == list(range(1, 31))
    assert sum(one.duplicate for one in accepted) == 30


async def test_a_turn_is_committed_once(journal: Journal) -> None:
    conversation = await journal.open_conversation("api")
    accepted = await accept(journal, conversation, "m1", "hello")
    first = await journal.finish(turn_of(accepted))
    again = await journal.finish(turn_of(accepted))
    assert first is not None
    assert again is not None
    assert again.turn_id == first.turn_id
    assert [reply["id"] for reply in again.replies] == [reply["id"] for reply in first.replies]
    assert await journal.finished(accepted.id) == again
    page = await journal.messages(conversation, after=0, limit=10)
    assert page is not None
    assert [row["seq"] for row in page[1]] == [1, 2, 3]
    assert page[1][1]["buttons"] == [{"title": "a", "payload": "/a"}]
    assert page[1][2]["extra"] == {"image": "x"}


async def test_the_bots_words_are_not_said_once_an_agent_has_come(journal: Journal) -> None:
    conversation = await journal.open_conversation("api")
    journal.sending = frozenset({"api"})
    accepted = await accept(journal, conversation, "m1", "hello")
    # Taken while the bot is at work on its answer.
    await journal.set_status(conversation, "agent")
    first = await journal.finish(turn_of(accepted, handoff_reason="asked"))
    assert first is not None
    assert (first.state, first.replies) == ("answered", [])
    assert await journal.finish(turn_of(accepted)) == first
    joined = await journal.say(conversation, [Reply(id=sortable_id(), author="agent", text="hi")])
    assert joined is not None
    page = await journal.messages(conversation, after=0, limit=10)
    assert page is not None
    status, rows = page
    assert status == "agent", "nobody is called a second time"
    assert [(row["seq"], row["author"]) for row in rows] == [(1, "customer"), (2, "agent")]
    queued = await journal.write(
        partial(outbox.claim, channels=["api"], most=10, lease_s=1, now=utc_now())
    )
    assert [row["id"] for row in queued] == [joined[0]["id"]]


async def test_the_raw_text_goes_with_the_turn(journal: Journal) -> None:
    conversation = await journal.open_conversation("api")
    accepted = await accept(journal, conversation, "m1", "I am jo@mail.example")
    (waiting,) = await journal.unanswered()
    assert waiting.inbound.text == "I am jo@mail.example"
    await journal.finish(turn_of(accepted, text="I am <email>"))
    assert await journal.unanswered() == []
    page = await journal.messages(conversation, after=0, limit=1)
    assert page is not None
    assert page[1][0]["text"] == "I am <email>"


async def test_what_is_unanswered_comes_back_in_order(journal: Journal) -> None:
    for _ in range(2):
        conversation = await journal.open_conversation("api")
        for number in range(3):
            await accept(journal, conversation, str(number), f"text {number}")
    left = await journal.unanswered()
    assert [one.seq for one in left] == [1, 2, 3, 1, 2, 3]
    assert len({one.inbound.conversation_id for one in left[:3]}) == 1


async def test_only_the_last_words_offer_payloads(journal: Journal) -> None:
    conversation = await journal.open_conversation("api")
    assert await journal.offered_buttons(conversation) == []
    await journal.finish(turn_of(await accept(journal, conversation, "1", "a")))
    assert [one["payload"] for one in await journal.offered_buttons(conversation)] == ["/a"]
    plain = [Reply(id=sortable_id(), text="hm")]
    await journal.finish(turn_of(await accept(journal, conversation, "2", "b"), replies=plain))
    assert await journal.offered_buttons(conversation) == []


async def test_handoff_marks_a_conversation_of_the_bot_only(journal: Journal) -> None:
    conversation = await journal.open_conversation("api")
    accepted = await accept(journal, conversation, "1", "a")
    await journal.finish(turn_of(accepted, handoff_reason="asked"))
    assert (await accept(journal, conversation, "2", "b")).status == "waiting"
    await journal.set_status(conversation, "agent")
    accepted = await accept(journal, conversation, "3", "c")
    await journal.finish(turn_of(accepted, handoff_reason="asked"))
    assert (await accept(journal, conversation, "4", "d")).status == "agent"


async def test_an_account_has_one_conversation(journal: Journal) -> None:
    ids = await asyncio.gather(*(journal.open_conversation("rest", "jo") for _ in range(5)))
    assert len(set(ids)) == 1


async def test_erasing_takes_everything_and_leaves_a_trace(
    journal: Journal, database_url: str
) -> None:
    conversation = await journal.open_conversation("api")
    await journal.finish(turn_of(await accept(journal, conversation, "1", "a")))
    engine = open_engine(database_url, writer=True)
    with engine.begin() as connection:
        count = store.erase(
            connection, conversation_id=conversation, audit_id="a", actor="t", now=utc_now()
        )
        assert count == 3
        assert list(reader.turns(connection)) == []
    with engine.begin() as connection:
        assert (
            store.erase(
                connection, conversation_id=conversation, audit_id="b", actor="t", now=utc_now()
            )
            is None
        )
    engine.dispose()
    assert await journal.messages(conversation, after=0, limit=1) is None


async def test_turns_are_read_with_their_newest_annotation(
    journal: Journal, database_url: str
) -> None:
    from bot.log.tables import annotation

    conversation = await journal.open_conversation("api")
    accepted = await accept(journal, conversation, "1", "a")
    finished = await journal.finish(turn_of(accepted))
    assert finished is not None
    engine = open_engine(database_url, writer=True)
    with engine.begin() as connection:
        for intent in ("thank", "affirm"):
            connection.execute(
                annotation.insert(),
                {
                    "id": intent,
                    "turn_id": finished.turn_id,
                    "intent": intent,
                    "created_at": utc_now(),
                },
            )
        (turn,) = reader.turns(connection, conversation_id=conversation)
    engine.dispose()
    assert turn["intent"] == "greet"
    assert turn["annotation"]["intent"] == "affirm"
    assert turn["entities"] == [{"entity": "product", "value": "Kessel für 2 \U0001f600"}]
    assert turn["created_at"].tzinfo is not None


async def test_content_that_cannot_be_kept_is_told_from_a_database_that_is_away(
    journal: Journal,
) -> None:
    conversation = await journal.open_conversation("api")
    accepted = await accept(journal, conversation, "1", "a")
    bad = [Reply(id=sortable_id(), text="half of a pair \ud800")]
    with pytest.raises(UnicodeEncodeError):
        await journal.finish(turn_of(accepted, replies=bad))
    if journal.shared:
        # PostgreSQL has no NUL in texts; SQLite has.
        with pytest.raises(NotStorable):
            await journal.finish(turn_of(accepted, replies=[Reply(id=sortable_id(), text="\0")]))
    assert await journal.finish(turn_of(accepted)) is not None


async def test_a_repeated_message_leaves_its_conversation_as_it_is(journal: Journal) -> None:
    conversation = await journal.open_conversation("api")
    await accept(journal, conversation, "1", "a")
    await journal.set_status(conversation, "closed")
    before = await journal.conversation(conversation)
    again = await accept(journal, conversation, "1", "a")
    assert (again.duplicate, again.status) == (True, "closed")
    assert await journal.conversation(conversation) == before


async def test_gateways_that_wait_for_each_other_both_get_through(postgres_url: str) -> None:
    upgrade(postgres_url)
    pair = [
        Journal(
            write_engine=open_engine(postgres_url, writer=True),
            read_engine=open_engine(postgres_url),
            world=World(),
        )
        for _ in range(2)
    ]
    for journal in pair:
        journal.start()
    rows = [await pair[0].open_conversation("api") for _ in range(2)]
    met = threading.Barrier(2)

    def close(connection: Connection, *, id_: str, first: list[bool]) -> bool:
        closed = store.set_status(connection, conversation_id=id_, status="closed", now=utc_now())
        if first:
            # The first time round, each holds one row when it asks for the other's.
            first.clear()
            met.wait(10)
        return closed

    gate = threading.Event()
    for journal in pair:
        # What comes while this one runs makes up one batch.
        journal.write(lambda connection: gate.wait(10))
    done = [
        journal.write(partial(close, id_=id_, first=[True] * (position == 0)))
        for journal, ids in zip(pair, (rows, rows[::-1]), strict=True)
        for position, id_ in enumerate(ids)
    ]
    gate.set()
    assert await asyncio.gather(*done) == [True] * 4
    for journal in pair:
        await journal.close()


async def test_after_a_lost_connection_writes_go_through_again(postgres_url: str) -> None:
    upgrade(postgres_url)
    journal = Journal(
        write_engine=open_engine(postgres_url, writer=True),
        read_engine=open_engine(postgres_url),
        world=World(),
    )
    journal.start()

    def cut() -> None:
        engine = open_engine(postgres_url)
        with engine.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        engine.dispose()

    conversation = await journal.open_conversation("api")
    await asyncio.to_thread(cut)
    # One alone is told; it was not kept.
    with pytest.raises(StorageError):
        await accept(journal, conversation, "1", "a")
    assert (await accept(journal, conversation, "1", "a")).seq == 1
    gate = threading.Event()
    first = journal.write(lambda connection: gate.wait(10))
    # Queued behind it, so that they make up one batch.
    rest = [asyncio.create_task(accept(journal, conversation, str(n), "b")) for n in range(2, 6)]
    await asyncio.to_thread(cut)
    gate.set()
    await first
    # Several share a transaction: those are tried again on a new connection.
    assert [one.seq for one in await asyncio.gather(*rest)] == [2, 3, 4, 5]
    await journal.close()
