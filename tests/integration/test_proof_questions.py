"""What people are asked about for a proof: into the queue, answered, out; on both databases."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from bot.learning import steps
from bot.learning.opened import opened_journal
from bot.learning.proof.shadow import Change, Shadow
from bot.log import proof_questions, review_candidates, review_queue, reviews, tables
from bot.log.annotations import Judgement
from bot.log.database import upgrade
from bot.log.journal import Journal
from bot.log.review_candidates import Terms
from bot.log.review_queue import Wanted
from bot.settings import Settings
from bot.world import World
from tests.integration.review_log import START, add_agents, add_conversation, add_turn

TERMS = Terms(double_share=0.0)
NOW = START + timedelta(days=1)


class Log:
    """A journal with turns, one a conversation."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.said = 0

    async def add(self, *texts: str, **changes: Any) -> list[str]:
        ids = [f"t{number:03}" for number in range(len(texts))]
        for number, (id_, text) in enumerate(zip(ids, texts, strict=True)):
            await self.journal.write(
                partial(add_turn, id_=id_, text=text, minute=number, **changes)
            )
        return ids

    async def say(self, turn: str, agent: str = "ann", **labels: Any) -> None:
        self.said += 1
        judgement = Judgement(turn_id=turn, agent_id=agent, **labels)
        await self.journal.write(
            partial(
                reviews.record,
                judgement=judgement,
                queued=False,
                id_=f"a{self.said:05}",
                now=NOW + timedelta(seconds=self.said),
            )
        )

    async def ask(self, *turns: str) -> list[str]:
        return await self.journal.write(partial(proof_questions.ask, turn_ids=turns, terms=TERMS))

    async def unspoken(self, *turns: str) -> list[str]:
        return await self.journal.read(partial(proof_questions.unspoken, turn_ids=turns))

    async def spoken_of(self, *turns: str) -> int:
        return await self.journal.read(partial(proof_questions.spoken_of, turn_ids=turns))

    async def reasons(self) -> dict[str, dict[str, float]]:
        """Of the turns that wait."""
        waiting = select(tables.review_candidate).where(tables.review_candidate.c.state == "first")
        rows = await self.journal.read(lambda connection: connection.execute(waiting).all())
        return {row.turn_id: row.reasons for row in rows}


@pytest.fixture
async def log(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    # Chance is tested by itself.
    monkeypatch.setattr(review_candidates, "RANDOM_SHARE", 1e-12)
    upgrade(database_url)
    settings = Settings(_env_file=None, database_url=database_url)
    async with opened_journal(settings, World()) as journal:
        await journal.write(lambda connection: add_agents(connection, "ann", "ben"))
        yield Log(journal)


async def test_what_is_asked_about_comes_first_in_the_queue(log: Log) -> None:
    turns = await log.add("where is it", "stop it", "send it back")
    assert await log.ask(turns[1]) == ["t001"]
    wanted = Wanted(agent_id="ann", order=["proof", "uncertainty", "spare"])
    row = await log.journal.write(
        partial(review_queue.take_next, wanted=wanted, terms=TERMS, now=NOW)
    )
    assert row is not None
    assert (row["turn_id"], row["reason"]) == ("t001", "proof")


async def test_asking_anew_takes_out_what_was_asked_before(log: Log) -> None:
    turns = await log.add("where is it", "stop it", "send it back")
    await log.ask(*turns[:2])
    assert await log.ask(turns[2], turns[1]) == ["t002", "t001"]
    reasons = await log.reasons()
    assert "proof" not in reasons["t000"]
    assert reasons["t001"]["proof"] == reasons["t002"]["proof"] == 1.0
    await log.ask()
    assert not any("proof" in of_turn for of_turn in (await log.reasons()).values())


async def test_doubles_and_a_customers_many_are_not_asked_about(log: Log) -> None:
    await log.journal.write(lambda connection: add_conversation(connection, "one"))
    turns = await log.add(*(f"the {'x' * n} one" for n in range(1, 8)), conversation_id="one")
    assert await log.ask(*turns) == turns[: TERMS.per_customer]
    await log.journal.write(lambda c: c.execute(delete(tables.review_candidate)).rowcount)
    await log.journal.write(
        lambda c: (
            c.execute(
                update(tables.turn).where(tables.turn.c.id == "t001").values(text="The X one!")
            ).rowcount
        )
    )
    assert "t001" not in await log.ask("t000", "t001")


async def test_only_what_nobody_has_spoken_of_may_be_asked_about(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = await log.add("where is it", "stop it", "send it back", "pay it")
    await log.say("t001", intent="cancel_order")
    await log.ask("t002")
    assert await log.unspoken(*reversed(turns), "gone") == ["t003", "t002", "t000"]
    monkeypatch.setattr(review_candidates, "RANDOM_SHARE", 1.0)
    assert await log.unspoken(*turns) == []


async def test_answers_are_what_people_agree_on(log: Log) -> None:
    turns = await log.add("one", "two", "three", "four", "five")
    await log.say("t000", intent="pay")
    await log.say("t001", intent="pay")
    await log.say("t001", "ben", intent="track")
    await log.say("t002", emotion="angry")
    found = await log.journal.read(partial(proof_questions.answers, turn_ids=turns))
    assert found == {"t000": ("one", "pay")}


async def test_what_is_gone_or_spoken_of_is_not_waited_for(log: Log) -> None:
    await log.add("one", "two", "three")
    assert await log.spoken_of("t000", "t001", "t002") == 0
    await log.say("t001", intent="pay")
    assert await log.spoken_of("t000", "t001", "t002", "erased") == 2


def place(log: Log, **settings: Any) -> Any:
    """What a proof works with, as far as it asks."""
    return SimpleNamespace(
        journal=log.journal, settings=Settings(_env_file=None, **settings), run={"id": "run-1"}
    )


def proof(turns: list[str], *, is_open: bool = True) -> Any:
    """A proof in which both take these turns differently."""
    changes = tuple(
        Change(
            turn_id=turn,
            champion="greet",
            champion_confidence=0.9,
            challenger="track",
            challenger_confidence=0.9,
        )
        for turn in turns
    )
    shadow = Shadow(turns=300, changed=len(turns), emotions_changed=0, changes=changes)
    return SimpleNamespace(
        champion="v1", shadow=shadow, verdict=SimpleNamespace(may_be_asked=is_open)
    )


async def test_an_open_proof_asks_by_lot_and_reads_the_answers(log: Log) -> None:
    turns = await log.add(*(f"message {'x' * number} here" for number in range(30)))
    await log.say(turns[0], intent="pay")
    questions = await steps._ask(place(log, learn_questions=10), proof(turns), again=False)
    assert questions is not None
    assert (questions.champion, len(questions.turns)) == ("v1", 10)
    # What somebody has spoken of already is none of those that stand for all.
    assert (questions.differ, questions.replayed) == (29, 300)
    assert turns[0] not in questions.turns
    assert questions.turns != sorted(questions.turns)
    await log.say(questions.turns[3], intent="track")
    answered = await steps._answered(place(log), questions)
    assert [example.intent for example in answered] == ["track"]
    # A proof that is decided asks nothing, and what was asked is taken out; so is the second one.
    for is_open, again in ((False, False), (True, True)):
        await log.ask(*questions.turns)
        assert any("proof" in reasons for reasons in (await log.reasons()).values())
        assert await steps._ask(place(log), proof(turns, is_open=is_open), again=again) is None
        assert not any("proof" in reasons for reasons in (await log.reasons()).values())


@pytest.mark.parametrize(("differ", "asked"), [(7, 24), (30, 7), (30, 0)])
async def test_too_few_to_decide_anything_are_not_asked_about(
    log: Log, differ: int, asked: int
) -> None:
    turns = await log.add(*(f"message {'x' * number} here" for number in range(differ)))
    assert await steps._ask(place(log, learn_questions=asked), proof(turns), again=False) is None
    assert not any("proof" in reasons for reasons in (await log.reasons()).values())
