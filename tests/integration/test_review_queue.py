"""The queue gives each reviewer the turns that teach most, each to as many as are wanted."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, delete, insert, select, update

from bot.errors import RequestError
from bot.log import (
    review_alike,
    review_candidates,
    review_emerging,
    review_queue,
    review_ranking,
    reviews,
    store,
    tables,
)
from bot.log.annotations import Judgement
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.review_candidates import Terms
from bot.log.review_queue import Wanted
from bot.log.review_ranking import CannotEmbed, Ranking
from bot.log.review_scores import RANDOM, REASONS
from bot.world import World
from tests.integration.review_log import START, add_agents, add_conversation, add_turn

UNSURE = (("track_order", 0.4), ("cancel_order", 0.35))
ORDER = [*REASONS, RANDOM, "second"]
# Neither drawn by lot nor for two people, whatever the turn's id.
PLAIN = Terms(double_share=0.0)


class Hashed:
    """Vectors by the words of a text: alike where the words are."""

    away = False

    async def embed(self, texts: Sequence[str]) -> tuple[Any, str]:
        if self.away:
            raise CannotEmbed
        vectors = np.zeros((len(texts), 512), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                vectors[row, sum(word.encode()) * 31 % 512] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), "hashed"

    async def close(self) -> None:
        pass


class Desk:
    """A journal with reviewers, at a time of its own."""

    def __init__(self, journal: Journal, ranking: Ranking, embedding: Hashed) -> None:
        self.journal = journal
        self.ranking = ranking
        self.embedding = embedding
        self.now = START + timedelta(days=1)
        self.ids = iter(range(10**6))

    async def do(self, unit: Any) -> Any:
        return await self.journal.write(unit)

    async def add(self, *texts: str, **changes: Any) -> None:
        for text in texts:
            number = next(self.ids)
            changes.setdefault("ranking", UNSURE)
            await self.do(
                partial(add_turn, id_=f"t{number:04}", text=text, minute=number, **changes)
            )

    async def next(self, agent: str, *holding: str, order: Sequence[str] = ORDER) -> Any:
        wanted = Wanted(agent_id=agent, order=order, holding=frozenset(holding))
        unit = partial(review_queue.take_next, wanted=wanted, terms=PLAIN, now=self.now)
        return await self.do(unit)

    async def say(self, agent: str, turn: str, *, queued: bool = True, **labels: Any) -> str:
        judgement = Judgement(turn_id=turn, agent_id=agent, **(labels or {"intent": "inform"}))
        self.now += timedelta(seconds=1)
        unit = partial(
            reviews.record,
            judgement=judgement,
            queued=queued,
            id_=f"a{next(self.ids):07}",
            now=self.now,
        )
        return str((await self.do(unit)).state)

    async def candidates(self) -> dict[str, Any]:
        rows = await self.journal.read(
            lambda connection: connection.execute(select(tables.review_candidate)).mappings().all()
        )
        return {row["turn_id"]: row for row in rows}


@pytest.fixture
async def desk(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    # Chance is tested by itself.
    monkeypatch.setattr(review_candidates, "RANDOM_SHARE", 1e-12)
    upgrade(database_url)
    world = World()
    journal = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=world,
    )
    journal.start()
    embedding = Hashed()
    its = World(now=lambda: START + timedelta(days=1))
    ranking = Ranking(journal, embedding, its, terms=PLAIN, every_s=3600)
    await journal.write(lambda connection: add_agents(connection, "ann", "ben", "cat"))
    yield Desk(journal, ranking, embedding)
    await journal.close()


async def test_reading_again_adds_nothing(desk: Desk) -> None:
    await desk.add("where is my parcel", "stop the order")
    assert await desk.ranking.read_new() == 2
    assert await desk.ranking.read_new() == 0
    await desk.add("one more of them")
    assert await desk.ranking.read_new() == 1


async def test_what_cannot_be_labelled_is_left_out(desk: Desk) -> None:
    await desk.add('/choose_answer{"qa_id": "1"}', "", "??!", "\U0001f600")
    assert await desk.ranking.read_new() == 0


async def test_each_reason_is_found_and_told(desk: Desk) -> None:
    await desk.add("a sure thing", ranking=(("greet", 0.99),))
    await desk.add("an unsure thing")
    await desk.add("not understood", ranking=(("nlu_fallback", 0.5), ("greet", 0.3)))
    await desk.add("asked and got nothing", ranking=(("greet", 0.99),), actions=["action_answer"])
    await desk.add(
        "asked and was offered something",
        ranking=(("greet", 0.99),),
        actions=["action_answer"],
        replies=[{"metadata": {"qa_offered": [{"id": "1"}]}}],
    )
    await desk.ranking.read_new()
    found = await desk.candidates()
    assert [found[f"t{number:04}"]["reason"] for number in range(5)] == [
        "spare",
        "uncertainty",
        "fallback",
        "fallback",
        "spare",
    ]
    assert found["t0001"]["reasons"]["uncertainty"] == pytest.approx(0.95)


async def test_a_thumb_down_and_a_low_rating_bring_turns_to_the_front(desk: Desk) -> None:
    await desk.add("first of them", "second of them", ranking=(("greet", 0.99),))
    feedback = {"kind": "thumb", "score": -1, "comment": None, "created_at": START}
    rows = [
        feedback | {"id": "f1", "conversation_id": "of-t0000", "turn_id": "t0000"},
        feedback
        | {
            "id": "f2",
            "conversation_id": "of-t0001",
            "turn_id": None,
            "kind": "rating",
            "score": 2,
            "created_at": START + timedelta(hours=1),
        },
    ]
    await desk.ranking.read_new()
    await desk.do(lambda connection: connection.execute(insert(tables.feedback), rows).rowcount)
    await desk.ranking.read_new()
    found = await desk.candidates()
    assert [found[name]["reason"] for name in ("t0000", "t0001")] == ["low_rating"] * 2
    assert found["t0000"]["score"] > found["t0001"]["score"]


async def test_where_an_agent_had_to_take_over_model_and_agent_disagree(desk: Desk) -> None:
    await desk.do(partial(add_conversation, id_="c1"))
    await desk.add("is it in blue", conversation_id="c1", ranking=(("ask_size", 0.97),))
    await desk.add("get me a person", conversation_id="c1", ranking=(("ask_human", 0.97),))
    taken = {
        "id": "x1",
        "actor": "ann",
        "action": "take",
        "target": "c1",
        "created_at": START + timedelta(hours=1),
    }
    await desk.do(lambda connection: connection.execute(insert(tables.audit), taken).rowcount)
    await desk.ranking.read_new()
    found = await desk.candidates()
    assert found["t0000"]["reason"] == "disagreement"
    assert found["t0001"]["reason"] == "spare"


async def test_the_same_words_come_once(desk: Desk) -> None:
    await desk.add("Where is my parcel 17?", "where is  my parcel 99", "where is the parcel")
    assert await desk.ranking.read_new() == 2
    assert set(await desk.candidates()) == {"t0000", "t0002"}


async def test_one_customer_fills_no_queue(desk: Desk) -> None:
    await desk.do(partial(add_conversation, id_="c1", customer_id="u1"))
    await desk.do(partial(add_conversation, id_="c2", customer_id="u1"))
    for number in range(6):
        words = " ".join(["word"] * (number + 1))
        await desk.add(words, conversation_id=f"c{1 + number % 2}")
    assert await desk.ranking.read_new() == PLAIN.per_customer


async def test_the_baseline_is_drawn_whatever_else_speaks_for_a_turn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_candidates, "RANDOM_SHARE", 0.5)
    await desk.add(*(f"word{'x' * number} here" for number in range(60)), ranking=UNSURE)
    await desk.ranking.read_new()
    reasons = Counter(row["reason"] for row in (await desk.candidates()).values())
    assert set(reasons) == {RANDOM, "uncertainty"}
    assert 15 < reasons[RANDOM] < 45


def test_each_reason_comes_first_as_often_as_its_weight_says() -> None:
    chance = random.Random(7)
    terms = Terms(random_share=0.2)
    firsts = Counter(review_queue.order_by_lot(chance, terms)[0] for _ in range(4000))
    assert firsts["second"] / 4000 == pytest.approx(review_queue.SECOND_SHARE, abs=0.03)
    assert firsts[RANDOM] / 4000 == pytest.approx(0.2 * 0.75, abs=0.03)
    assert firsts["diversity"] > firsts["fallback"] > firsts["low_rating"] > firsts["spare"]
    assert sorted(review_queue.order_by_lot(chance, terms)) == sorted(ORDER)


async def test_the_highest_score_comes_first_and_two_get_different_turns(desk: Desk) -> None:
    for share in (0.5, 0.3, 0.4):
        await desk.add(f"text of {'x' * int(share * 10)}", ranking=(("a", share), ("b", 0.29)))
    await desk.ranking.read_new()
    order = ["uncertainty"]
    assert (await desk.next("ann", order=order))["turn_id"] == "t0001"
    assert (await desk.next("ben", order=order))["turn_id"] == "t0002"
    # Ann's page was opened anew, then asks for the one after.
    assert (await desk.next("ann", order=order))["turn_id"] == "t0001"
    assert (await desk.next("ann", "t0001", order=order))["turn_id"] == "t0000"
    assert await desk.next("cat") is None


async def test_a_lease_runs_out_and_who_lost_it_is_told(desk: Desk) -> None:
    await desk.add("where is my parcel")
    await desk.ranking.read_new()
    assert (await desk.next("ann"))["turn_id"] == "t0000"
    desk.now += timedelta(seconds=301)
    # Nobody else has come: what Ann says is kept although her time was over.
    assert await desk.say("ann", "t0000") == "done"
    await desk.add("another one of these")
    await desk.ranking.read_new()
    assert (await desk.next("ann"))["turn_id"] == "t0002"
    desk.now += timedelta(seconds=301)
    assert (await desk.next("ben"))["turn_id"] == "t0002"
    with pytest.raises(RequestError) as lost:
        await desk.say("ann", "t0002")
    assert lost.value.status == 409
    assert await desk.say("ben", "t0002") == "done"
    with pytest.raises(RequestError):
        await desk.say("ann", "t0002")
    # Opened by hand it is still a second opinion.
    assert await desk.say("ann", "t0002", queued=False) == "done"


async def test_a_skipped_turn_is_for_others(desk: Desk) -> None:
    await desk.add("where is my parcel")
    await desk.ranking.read_new()
    await desk.next("ann")
    await desk.do(partial(skip, turn_id="t0000", agent_id="ann", now=desk.now))
    assert await desk.next("ann") is None
    assert (await desk.next("ben"))["turn_id"] == "t0000"
    desk.now += timedelta(days=8)
    await desk.do(partial(swept, now=desk.now))
    assert (await desk.next("ann"))["turn_id"] == "t0000"


def skip(connection: Connection, **values: Any) -> bool:
    review_queue.skip(connection, **values)
    return True


def swept(connection: Connection, *, now: datetime) -> bool:
    review_queue.sweep(connection, now=now)
    return True


async def test_a_double_turn_goes_to_two_and_not_twice_to_one(desk: Desk) -> None:
    desk.ranking.terms = replace(PLAIN, double_share=1.0)
    await desk.add("where is my parcel")
    await desk.ranking.read_new()
    assert (await desk.next("ann"))["turn_id"] == "t0000"
    assert await desk.next("ben") is None
    assert await desk.say("ann", "t0000", intent="inform") == "second"
    assert await desk.next("ann") is None
    assert (await desk.next("ben"))["turn_id"] == "t0000"
    assert await desk.say("ben", "t0000", intent="inform") == "done"
    assert await desk.next("cat") is None


async def test_undo_brings_a_turn_and_its_doubles_back(desk: Desk) -> None:
    await desk.add("where is my parcel", "stop my order")
    await desk.ranking.read_new()
    await desk.do(
        lambda connection: (
            connection.execute(update(tables.review_candidate).values(text_key="same")).rowcount
        )
    )
    await desk.say("ann", "t0000", queued=False)
    assert (await desk.candidates())["t0001"]["state"] == "duplicate"
    undo = partial(reviews.undo, annotation_id=None, agent_id="ann", id_="u1", now=desk.now)
    assert (await desk.do(undo)).state == "first"
    assert (await desk.candidates())["t0001"]["state"] == "first"


async def test_what_is_unlike_all_that_was_labelled_is_new(desk: Desk) -> None:
    await desk.add("where is my parcel", "my bath is on fire", "where is my big parcel")
    await desk.ranking.read_new()
    await desk.say("ann", "t0000", queued=False, intent="track_order")
    await desk.ranking.compare()
    found = await desk.candidates()
    novel = {name: row["reasons"].get("diversity", 0) for name, row in found.items()}
    assert novel["t0001"] > novel["t0002"] > 0
    # Chosen anew each time: what was labelled meanwhile is no news.
    await desk.say("ann", "t0001", queued=False, intent="inform")
    await desk.ranking.compare()
    assert (await desk.candidates())["t0002"]["reasons"]["diversity"] < novel["t0001"]


async def test_without_embeddings_the_intents_labelled_least_are_new(desk: Desk) -> None:
    desk.embedding.away = True
    await desk.add("a b", "c d", "e f", ranking=(("often", 0.4), ("x", 0.3)))
    await desk.add("g h", ranking=(("never", 0.4), ("x", 0.3)))
    await desk.ranking.read_new()
    for name in ("t0000", "t0001"):
        await desk.say("ann", name, queued=False, intent="often")
    await desk.ranking.compare()
    found = await desk.candidates()
    assert found["t0003"]["reasons"]["diversity"] > found["t0002"]["reasons"]["diversity"]


async def test_the_same_thing_said_again_is_not_shown(desk: Desk) -> None:
    await desk.add("my parcel where is", "where is my parcel")
    await desk.ranking.read_new()
    await desk.say("ann", "t0000", queued=False)
    await desk.ranking.compare()
    assert (await desk.candidates())["t0001"]["state"] == "duplicate"


async def test_neighbours_of_a_corrected_turn_are_doubtful(desk: Desk) -> None:
    await desk.add("do you have the blue mug in the big size today please", ranking=UNSURE)
    await desk.add("do you have the blue mug in the small size today please", ranking=UNSURE)
    await desk.add("I want to talk about the weather", ranking=UNSURE)
    await desk.ranking.read_new()
    await desk.say("ann", "t0000", queued=False, intent="ask_size")
    await desk.ranking.compare()
    found = await desk.candidates()
    assert found["t0001"]["reason"] == "disagreement"
    assert "disagreement" not in found["t0002"]["reasons"]


SURE = (("track_order", 0.99), ("cancel_order", 0.005))


async def test_turns_like_those_of_an_intent_that_the_model_misses_are_shown(desk: Desk) -> None:
    await desk.add("hello")
    await desk.add(
        "pay my phone bill please",
        "pay my water bill please",
        "where is my blue parcel",
        "where is my green parcel",
        ranking=SURE,
    )
    await desk.do(lambda c: c.execute(delete(tables.review_candidate)).rowcount)
    await desk.say("ann", "t0001", queued=False, intent="pay_bill")
    await desk.say("ann", "t0003", queued=False, intent="track_order")
    await desk.ranking.compare()
    found = await desk.candidates()
    # However sure the model is of it; what it saw as people do needs no more looks.
    assert (found["t0002"]["reason"], found["t0002"]["state"]) == ("disagreement", "first")
    assert found["t0002"]["score"] > 0.5
    assert "t0004" not in found
    # What there was a reason for already has one more.
    await desk.add("pay my gas bill please", ranking=UNSURE)
    await desk.ranking.read_new()
    await desk.ranking.compare()
    found = await desk.candidates()
    newest = found[max(found)]
    assert set(newest["reasons"]) >= {"uncertainty", "disagreement"}
    assert newest["reason"] == "disagreement"


async def test_an_intent_that_the_model_sees_or_that_has_many_labels_is_not_missed(
    desk: Desk, monkeypatch: Any
) -> None:
    monkeypatch.setattr(review_alike, "FEW", 2)
    lines = [f"pay my {word} bill please" for word in ("phone", "water", "gas")]
    await desk.add(*lines, ranking=SURE)
    await desk.do(lambda c: c.execute(delete(tables.review_candidate)).rowcount)
    for turn in ("t0000", "t0001"):
        await desk.say("ann", turn, queued=False, intent="pay_bill")
    await desk.ranking.compare()
    assert "t0002" not in await desk.candidates()


async def test_without_vectors_nothing_is_sought(desk: Desk) -> None:
    await desk.add("pay my phone bill please", "pay my water bill please", ranking=SURE)
    await desk.do(lambda c: c.execute(delete(tables.review_candidate)).rowcount)
    await desk.say("ann", "t0000", queued=False, intent="pay_bill")
    desk.embedding.away = True
    await desk.ranking.compare()
    assert "t0001" not in await desk.candidates()
    desk.embedding.away = False
    await desk.ranking.compare()
    assert "t0001" in await desk.candidates()


async def test_a_topic_that_came_up_of_late_is_shown_however_sure_the_model_is(
    desk: Desk, monkeypatch: Any
) -> None:
    monkeypatch.setattr(review_emerging, "LEAST_TEXTS", 60)
    monkeypatch.setattr(review_ranking, "LEAST_TEXTS", 60)
    topics = ["where is parcel", "stop the order", "open an account", "send an invoice"]
    lines = [f"{topic} {'i' * number}" for number in range(15) for topic in topics]
    await desk.add(*lines, ranking=SURE)
    gifts = [f"wrap gift paper {word}" for word in ("red", "blue", "gold", "kraft", "bow", "box")]
    await desk.add(*gifts, ranking=SURE)
    await desk.do(lambda c: c.execute(delete(tables.review_candidate)).rowcount)
    await desk.ranking.compare()
    found = await desk.candidates()
    new = {f"t{number:04}" for number in range(60, 66)}
    assert set(found) == new
    assert {row["reason"] for row in found.values()} == {"emerging"}
    # It is told anew after a while: where people saw the model right it is of no more use.
    for turn in ("t0060", "t0061", "t0062"):
        await desk.say("ann", turn, queued=False, intent="track_order")
    monkeypatch.setattr(review_ranking, "EMERGING_EVERY", timedelta(0))
    await desk.ranking.compare()
    found = await desk.candidates()
    assert {name: row["state"] for name, row in found.items()} == {
        name: "done" if name < "t0063" else "first" for name in new
    }
    # Who has one before them is to finish it.
    assert not any(
        "emerging" in row["reasons"] for row in found.values() if row["state"] == "first"
    )
    assert all(row["reasons"] for row in found.values())


async def test_few_texts_or_no_vectors_tell_nothing_of_what_is_new(
    desk: Desk, monkeypatch: Any
) -> None:
    await desk.add(*(f"wrap gift {'i' * number}" for number in range(30)), ranking=SURE)
    await desk.ranking.compare()
    assert await desk.candidates() == {}
    monkeypatch.setattr(review_ranking, "LEAST_TEXTS", 10)
    desk.embedding.away = True
    await desk.ranking.compare()
    assert await desk.candidates() == {}


async def test_a_sample_is_drawn_by_lot_and_nobody_fills_it(desk: Desk, monkeypatch: Any) -> None:
    monkeypatch.setattr(review_emerging, "TURNS", 10)
    monkeypatch.setattr(review_emerging, "PER_CUSTOMER", 3)
    for number in range(30):
        await desk.add(f"word{'i' * number} here")
    read = partial(review_emerging.sampled_turns, since=START)
    turns = await desk.journal.read(read)
    # A third: five of sixteen digits, which these ids do not all have.
    assert [one.turn_id for one in turns] == [
        f"t{number:04}" for number in range(30) if number % 10 < 5
    ]
    monkeypatch.setattr(review_emerging, "TURNS", 1)
    few = [one.turn_id for one in await desk.journal.read(read)]
    assert few == ["t0000", "t0010", "t0020"]
    monkeypatch.setattr(review_emerging, "TURNS", 100)
    await desk.add("wordiii here", "/choose", ranking=SURE)
    await desk.do(lambda c: add_conversation(c, "one"))
    await desk.add(*(f"by one {'i' * number}" for number in range(5)), conversation_id="one")
    turns = await desk.journal.read(read)
    # Of what reads the same the oldest, no buttons, three of a customer.
    assert len(turns) == 33
    assert [one.turn_id for one in turns[-3:]] == ["t0032", "t0033", "t0034"]


async def test_a_label_that_the_model_contradicts_is_looked_at_by_another(desk: Desk) -> None:
    for number, word in enumerate(["red", "blue", "tall", "wide", "old", "new"]):
        intent = "colour" if number < 3 else "size"
        await desk.add(f"the {word} one", ranking=((intent, 0.9), ("other", 0.05)))
    await desk.ranking.read_new()
    for number in range(6):
        given = "size" if number in (0, 3, 4, 5) else "colour"
        await desk.say("ann", f"t{number:04}", queued=False, intent=given)
    await desk.ranking.compare()
    found = await desk.candidates()
    states = {name: row["state"] for name, row in found.items()}
    assert states == {"t0000": "second"} | {f"t{number:04}": "done" for number in range(1, 6)}
    assert found["t0000"]["reason"] == "label_error"
    assert await desk.next("ann") is None
    assert (await desk.next("ben"))["turn_id"] == "t0000"
    # It is asked for once.
    await desk.say("ben", "t0000", intent="size")
    await desk.ranking.compare()
    assert (await desk.candidates())["t0000"]["state"] == "done"


async def test_intents_that_are_often_corrected_are_suspected(desk: Desk) -> None:
    await desk.add(*(f"the {word} one" for word in ("red", "blue", "tall", "wide", "old", "new")))
    await desk.ranking.read_new()
    for number in range(5):
        await desk.say("ann", f"t{number:04}", queued=False, intent="inform")
    desk.embedding.away = True
    await desk.ranking.compare()
    row = (await desk.candidates())["t0005"]
    assert (row["reason"], row["reasons"]["label_error"]) == (
        "label_error",
        pytest.approx(6 / 7, abs=1e-3),
    )


async def test_what_was_not_understood_is_no_intent_that_is_often_wrong(desk: Desk) -> None:
    lost = (("nlu_fallback", 0.7), ("greet", 0.2))
    await desk.add(
        *(f"{word} one" for word in ("red", "blue", "tall", "wide", "old")), ranking=lost
    )
    await desk.ranking.read_new()
    for number in range(4):
        await desk.say("ann", f"t{number:04}", queued=False, intent="inform")
    await desk.ranking.compare()
    row = (await desk.candidates())["t0004"]
    assert row["reason"] == "fallback"
    assert "label_error" not in row["reasons"]


async def test_a_topic_comes_before_a_stray_and_before_what_is_known(desk: Desk) -> None:
    lost = (("nlu_fallback", 0.7), ("greet", 0.2))
    topic = [f"gift wrapping {word}" for word in ("please", "now", "paper", "box", "bow")]
    await desk.add(*topic, "my bath is on fire", "parcel lost again", ranking=lost)
    await desk.add("parcel lost today", ranking=UNSURE)
    await desk.ranking.read_new()
    await desk.say("ann", "t0007", queued=False, intent="lost_parcel")
    await desk.ranking.compare()
    found = await desk.candidates()
    scores = [found[f"t{number:04}"]["reasons"]["fallback"] for number in range(7)]
    assert min(scores[:5]) > scores[5] > scores[6]
    assert (await desk.next("ann", order=["fallback"]))["text_key"] in {
        found[f"t{number:04}"]["text_key"] for number in range(5)
    }


async def test_vectors_go_with_their_customer(desk: Desk) -> None:
    await desk.add("where is my parcel")
    await desk.ranking.read_new()
    await desk.ranking.compare()
    vectors = select(tables.review_vector.c.turn_id)
    read = lambda connection: connection.execute(vectors).scalars().all()  # noqa: E731
    assert await desk.journal.read(read) == ["t0000"]
    await desk.do(
        partial(store.erase, conversation_id="of-t0000", audit_id="x", actor="test", now=desk.now)
    )
    assert await desk.journal.read(read) == []
