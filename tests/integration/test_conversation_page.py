"""What the page of a conversation reads and writes, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, update

from actions.tables import QaPair, QaSource
from bot import agents
from bot.agents import Agent
from bot.errors import RequestError
from bot.handoff.assignment import Assignment
from bot.handoff.desk import Desk
from bot.handoff.policy import Policy
from bot.log import canned_answers, conversation_notes, database, store, surroundings, tables
from bot.log import transcript as transcripts
from bot.log.canned_answers import Canned
from bot.log.conversation_notes import NewNote
from bot.log.feedback import RATING_ID, THUMB_ID
from bot.log.journal import Journal
from bot.log.transcript import Span, Stretch
from bot.turns import HandBack, TurnRequest
from bot.world import World, sortable_id, utc_now

START = datetime(2026, 6, 17, 10, tzinfo=UTC)
LONG = 10_000


class Dialogue:
    """Hears of hand-backs."""

    async def turn(self, request: TurnRequest) -> dict[str, Any]:
        raise AssertionError

    async def hand_back(self, event: HandBack) -> None:
        return None

    async def ready(self) -> str | None:
        return None


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[Journal]:
    database.upgrade(database_url)
    journal = Journal(
        write_engine=database.open_engine(database_url, writer=True),
        read_engine=database.open_engine(database_url),
        world=World(),
    )
    journal.start()
    yield journal
    await journal.close()


async def employ(journal: Journal, name: str, role: agents.Role = "agent") -> Agent:
    unit = partial(agents.add, id_=sortable_id(), name=name, role=role, now=utc_now())
    added = await journal.write(unit)
    assert added is not None
    return added[0]


async def talk(journal: Journal, count: int, **opening: Any) -> str:
    """A conversation of so many messages: the customer's, each with a turn, and the bot's."""
    id_ = await journal.open_conversation("api", **opening)

    def unit(connection: Any) -> bool:
        messages, turns = [], []
        for seq in range(1, count + 1):
            is_in = seq % 2 == 1
            at = START + timedelta(seconds=seq)
            messages.append(
                {
                    "id": f"{id_}-{seq}",
                    "conversation_id": id_,
                    "seq": seq,
                    "direction": "in" if is_in else "out",
                    "author": "customer" if is_in else "bot",
                    "channel": "api",
                    "account": id_,
                    "message_id": f"m-{seq}" if is_in else None,
                    "text": f"text {seq}",
                    "state": "answered" if is_in else "sent",
                    "created_at": at,
                }
            )
            if is_in:
                turns.append(
                    {
                        "id": f"{id_}-t{seq}",
                        "conversation_id": id_,
                        "inbound_id": f"{id_}-{seq}",
                        "text": f"text {seq}",
                        "intent": "track_order",
                        "confidence": 0.9,
                        "emotion": "angry" if seq > count - 4 else "neutral",
                        "emotion_confidence": 0.8,
                        "qa_pair_id": "pair-1" if seq == 1 else None,
                        "created_at": at,
                    }
                )
        connection.execute(insert(tables.message), messages)
        connection.execute(insert(tables.turn), turns)
        connection.execute(
            update(tables.conversation)
            .where(tables.conversation.c.id == id_)
            .values(last_seq=count)
        )
        return True

    await journal.write(unit)
    return id_


async def read(journal: Journal, id_: str, **span: Any) -> Stretch:
    return await journal.read(partial(transcripts.read, conversation_id=id_, span=Span(**span)))


def seqs(stretch: Stretch) -> list[int]:
    return [entry["seq"] for entry in stretch.entries]


async def note(journal: Journal, id_: str, agent: Agent, key: str, text: str) -> str | None:
    new = NewNote(key=key, conversation_id=id_, agent_id=agent.id, text=text)
    return await journal.write(
        partial(conversation_notes.add, note=new, audit_id=sortable_id(), now=utc_now())
    )


async def test_stretches_from_the_end_are_the_whole_conversation_once(journal: Journal) -> None:
    id_ = await talk(journal, 23)
    anna = await employ(journal, "Anna")
    await note(journal, id_, anna, "n-1", "at the end")
    found: list[tuple[str, int]] = []
    before = None
    while True:
        stretch = await read(journal, id_, before=before, limit=5)
        found = [(one["kind"], one["seq"]) for one in stretch.entries] + found
        if stretch.earlier is None:
            break
        before = stretch.earlier
    assert found == [*(("message", seq) for seq in range(1, 24)), ("note", 23)]


async def test_notes_stand_where_they_were_written_in_every_stretch(journal: Journal) -> None:
    id_ = await talk(journal, 4)
    anna = await employ(journal, "Anna")
    empty = await journal.open_conversation("api")
    assert await note(journal, empty, anna, "n-1", "before anything") is not None
    assert [one["text"] for one in (await read(journal, empty)).entries] == ["before anything"]
    assert await note(journal, id_, anna, "n-1", "one") == await note(
        journal, id_, anna, "n-1", "one again"
    )
    await journal.write(
        lambda connection: (
            connection.execute(
                update(tables.note).where(tables.note.c.text == "one").values(after_seq=2)
            ).rowcount
        )
    )
    whole = await read(journal, id_)
    assert [one["kind"][0] for one in whole.entries] == ["m", "m", "n", "m", "m"]
    assert whole.entries[2]["agent_name"] == "Anna"
    assert [one["kind"][0] for one in (await read(journal, id_, limit=2)).entries] == ["m", "m"]
    earlier = await read(journal, id_, before=3, limit=2)
    assert [one["kind"][0] for one in earlier.entries] == ["m", "m", "n"]
    assert await note(journal, "nowhere", anna, "n-1", "x") is None


async def test_news_come_in_order_and_are_never_left_out(journal: Journal) -> None:
    id_ = await talk(journal, 9)
    first = await read(journal, id_, after=2, limit=4)
    assert (seqs(first), first.last_seq) == ([3, 4, 5, 6], 6)
    rest = await read(journal, id_, after=6, limit=4)
    assert (seqs(rest), rest.last_seq) == ([7, 8, 9], 9)
    nothing = await read(journal, id_, after=9, limit=4)
    assert (seqs(nothing), nothing.last_seq) == ([], 9)
    assert (await read(journal, "nowhere")).entries == []


async def test_a_turn_comes_with_what_answered_it_and_what_was_said_of_it(
    journal: Journal,
) -> None:
    id_ = await talk(journal, 2)
    anna = await employ(journal, "Anna")
    label = {"turn_id": f"{id_}-t1", "agent_id": anna.id}

    def unit(connection: Any) -> bool:
        connection.execute(
            insert(QaSource),
            {"name": "a.yml", "kind": "yaml", "sha256": "x", "pairs": 1, "imported_at": START},
        )
        pair = {"id": "pair-1", "intent": "", "category": "", "source": "a.yml"}
        texts = {"question": "Where is it?", "answer": "There.", "fingerprint": "x"}
        dates = {"active": False, "created_at": START, "updated_at": START}
        connection.execute(insert(QaPair), {**pair, **texts, **dates})
        thumb = {"id": f"{THUMB_ID}{id_}-2", "turn_id": f"{id_}-t1", "kind": "thumb", "score": -1}
        rating = {"id": RATING_ID + id_, "turn_id": None, "kind": "rating", "score": 2}
        for one in (thumb, rating):
            values = {**one, "conversation_id": id_, "created_at": START}
            connection.execute(insert(tables.feedback), values)
        for number, what in enumerate(
            ({"intent": "wrong_one"}, {"intent": "cancel_order"}), start=1
        ):
            at = START + timedelta(minutes=number)
            row = {"id": f"a-{number}", "created_at": at, **label, **what}
            connection.execute(insert(tables.annotation), row)
        undo = {"id": "a-3", "kind": "revoke", "revokes": "a-1", "created_at": START, **label}
        connection.execute(insert(tables.annotation), undo)
        return True

    await journal.write(unit)
    asked, answered = (await read(journal, id_)).entries
    assert asked["turn"]["pair"]["question"] == "Where is it?"
    assert asked["turn"]["pair"]["active"] is False
    assert [(one["intent"], one["agent_name"]) for one in asked["turn"]["annotations"]] == [
        ("cancel_order", "Anna")
    ]
    assert answered["thumb"] == -1
    around = await journal.read(partial(surroundings.read, conversation_id=id_))
    assert around is not None
    assert around.rating is not None
    assert around.rating["score"] == 2


async def test_a_conversation_of_10_000_messages_opens_with_the_work_of_a_short_one(
    journal: Journal,
) -> None:
    long = await talk(journal, LONG)
    short = await talk(journal, 60)
    await journal.write(lambda connection: bool(connection.exec_driver_sql("ANALYZE")) or True)

    async def steps_to_open(id_: str) -> int:
        """Steps of SQLite's virtual machine, in hundreds; PostgreSQL counts none."""
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        def opened(connection: Connection) -> None:
            raw = connection.connection.driver_connection
            counts = connection.dialect.name == "sqlite" and raw is not None
            if counts:
                raw.set_progress_handler(step, 100)
            span = Span(limit=50)
            stretch = transcripts.read(connection, conversation_id=id_, span=span)
            around = surroundings.read(connection, conversation_id=id_)
            if counts:
                raw.set_progress_handler(None, 100)
            assert len(stretch.entries) == 50
            assert around is not None
            assert [one["emotion"] for one in around.feelings][-2:] == ["angry", "angry"]

        await journal.read(opened)
        return steps

    # Were it read as a whole, the long one would take over a hundred times as many.
    assert await steps_to_open(long) <= 2 * await steps_to_open(short)


async def test_what_agents_wrote_goes_with_the_conversation(journal: Journal) -> None:
    id_ = await talk(journal, 2)
    anna = await employ(journal, "Anna")
    await note(journal, id_, anna, "n-1", "a note")
    await journal.write(
        partial(store.erase, conversation_id=id_, audit_id=sortable_id(), actor="x", now=utc_now())
    )
    left = await journal.read(
        lambda connection: connection.execute(
            select(func.count()).select_from(tables.note)
        ).scalar_one()
    )
    assert left == 0


async def test_of_transfers_and_takes_at_once_one_agent_has_it(journal: Journal) -> None:
    desk = Desk(journal, Dialogue(), Policy(), lambda text: text, World())
    assignment = Assignment(journal, desk, World())
    anna, ben, clara = [await employ(journal, name) for name in ("Anna", "Ben", "Clara")]
    id_ = await journal.open_conversation("api")
    await assignment.assign(id_, anna, ben.id)
    await desk.take(id_, anna)

    async def attempt(work: Any) -> int:
        try:
            await work
        except RequestError as refusal:
            return refusal.status
        return 200

    done = await asyncio.gather(
        attempt(assignment.transfer(id_, anna, ben.id)),
        attempt(assignment.transfer(id_, anna, clara.id)),
        attempt(desk.take(id_, clara)),
        attempt(assignment.assign(id_, clara, clara.id)),
    )
    row = await journal.conversation(id_)
    assert row is not None
    # The second transfer is refused: Anna has it no longer.
    assert done == [200, 409, 409, 409]
    assert (row["status"], row["agent_id"], row["assignee_id"]) == ("agent", ben.id, None)


async def test_who_has_no_access_any_more_is_given_nothing(journal: Journal) -> None:
    desk = Desk(journal, Dialogue(), Policy(), lambda text: text, World())
    assignment = Assignment(journal, desk, World())
    anna, ben = await employ(journal, "Anna"), await employ(journal, "Ben")
    reviewer = await employ(journal, "Eve", "reviewer")
    id_ = await journal.open_conversation("api")
    await assignment.assign(id_, anna, ben.id)
    await journal.write(partial(agents.remove, name="Ben", now=utc_now()))
    row = await journal.read(partial(surroundings.standing, conversation_id=id_))
    assert row is not None
    assert row["assignee_name"] is None
    for nobody in (ben.id, reviewer.id, "nobody"):
        with pytest.raises(RequestError, match="nobody with this id"):
            await assignment.assign(id_, anna, nobody)
    assert [one["name"] for one in await assignment.colleagues()] == ["Anna"]


async def test_a_shortcut_in_use_is_one_answers_and_free_again_when_retired(
    journal: Journal,
) -> None:
    canned = Canned.of(shortcut="/Refund", title=" Money  back ", text_en="a", text_zh="")
    assert (canned.shortcut, canned.title) == ("refund", "Money back")

    async def save(id_: str) -> str:
        who = ("anna", sortable_id())
        return await journal.write(
            partial(canned_answers.save, id_=id_, canned=canned, who=who, now=utc_now())
        )

    assert await save("one") == "one"
    assert await save("one") == "one"
    with pytest.raises(RequestError, match="Money back"):
        await save("two")
    who = ("anna", sortable_id())
    await journal.write(partial(canned_answers.retire, id_="one", who=who, now=utc_now()))
    assert await save("two") == "two"
    with pytest.raises(RequestError, match="no such canned answer"):
        await journal.read(partial(canned_answers.one, id_="one"))
