"""What the log teaches is harvested: each source, the caps, tests kept apart; on both databases."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, update

from actions.tables import QaPair, QaSource
from bot.learning.datasets import harvest as harvesting
from bot.learning.datasets.harvest import HarvestReport, HarvestTerms, harvest
from bot.learning.datasets.row import Row
from bot.log import annotations, erasures, tables
from bot.log.annotations import Judgement
from bot.log.database import open_engine, upgrade
from bot.log.erasures import NewRequest
from bot.log.journal import Journal
from bot.log.review_scores import lot
from bot.world import World
from tests.integration.review_log import START, add_agents, add_conversation, add_turn

UNTIL = START + timedelta(days=2)
RETURNS = "You can return anything within 30 days, unused and in its box."
TERMS = HarvestTerms(hash_text=lambda text: f"{hash(text):x}" * 4, test_share=0.0)


@dataclass
class Log:
    """A log with agents and a store of answers, and harvests of it."""

    journal: Journal
    folder: Path
    count: int = 0

    async def has(self, fill: Callable[[Connection], Any]) -> Any:
        return await self.journal.write(fill)

    async def label(self, turn_id: str, agent: str = "ada", **labels: Any) -> str:
        """A reviewer says something of a turn; the id of the record."""
        self.count += 1
        id_, now = f"label-{self.count:03}", START + timedelta(hours=1, seconds=self.count)
        judgement = Judgement(turn_id=turn_id, agent_id=agent, **labels)
        await self.has(lambda c: annotations.add(c, judgement=judgement, id_=id_, now=now))
        return id_

    async def revoke(self, id_: str, agent: str = "ada") -> None:
        now = START + timedelta(hours=2)
        await self.has(
            lambda c: annotations.revoke(
                c, annotation_id=id_, agent_id=agent, id_=f"not-{id_}", now=now
            )
        )

    async def harvest(
        self, *, until: datetime = UNTIL, before: Iterable[Row] = (), **terms: Any
    ) -> tuple[dict[str, Row], HarvestReport]:
        """The rows by turn, and the report."""
        out = self.folder / "run" / "candidates.jsonl"
        report = await harvest(
            self.journal,
            replace(TERMS, **terms),
            parent_rows=lambda: before,
            until=until,
            out=out,
        )
        rows = [Row.of_line(line) for line in out.read_text("utf-8").splitlines()]
        assert [path.name for path in out.parent.iterdir()] == [out.name]
        assert len(rows) == report.rows == sum(report.sources.values())
        return {row.turn_id: row for row in rows}, report


@pytest.fixture
async def log(database_url: str, tmp_path: Path) -> AsyncIterator[Log]:
    upgrade(database_url)
    journal = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=World(),
    )
    journal.start()
    await journal.write(_store_of_answers)
    await journal.write(lambda c: add_agents(c, "ada", "ben", "cleo"))
    yield Log(journal=journal, folder=tmp_path)
    await journal.close()


def _store_of_answers(connection: Connection) -> None:
    source = {"name": "faq.yml", "kind": "yaml", "sha256": "0", "pairs": 3, "imported_at": START}
    connection.execute(insert(QaSource), source)
    for id_, intent, answer, active in (
        ("returns-1", "return_item", RETURNS, True),
        ("returns-2", "return_item", "Print the label and bring it to any post office.", True),
        ("old-1", "old_intent", "An answer that nobody gives any longer.", False),
    ):
        connection.execute(
            insert(QaPair),
            {
                "id": id_,
                "intent": intent,
                "category": "returns",
                "question": f"The question of {id_}?",
                "answer": answer,
                "source": "faq.yml",
                "fingerprint": "0",
                "active": active,
                "edited": False,
                "revision": 0,
                "created_at": START,
                "updated_at": START,
            },
        )


def words(id_: str) -> str:
    """Words that read like no other turn's: digits are all the same."""
    return "words of " + id_.translate(str.maketrans("0123456789", "abcdefghij"))


def thumb(connection: Connection, turn_id: str, score: int, message: str = "1") -> None:
    connection.execute(
        insert(tables.feedback),
        {
            "id": f"thumb:{turn_id}-{message}",
            "conversation_id": f"of-{turn_id}",
            "turn_id": turn_id,
            "kind": "thumb",
            "score": score,
            "created_at": START,
        },
    )


def rating(connection: Connection, conversation_id: str, score: int) -> None:
    connection.execute(
        insert(tables.feedback),
        {
            "id": f"rating:{conversation_id}",
            "conversation_id": conversation_id,
            "kind": "rating",
            "score": score,
            "created_at": START,
        },
    )


async def test_a_corrected_turn_teaches_what_holds_of_it(log: Log) -> None:
    spans = [{"entity": "thing", "start": 0, "end": 3, "text": "the"}]
    await log.has(lambda c: add_turn(c, "t1", "the hat is late", qa_pair_id="returns-2"))
    await log.label("t1", intent="cancel_order", emotion="angry", entities=spans, answer="right")
    rows, report = await log.harvest()
    row = rows["t1"]
    assert (row.source, row.weight, row.split) == ("corrected", 1.0, "train")
    assert (row.intent, row.emotion, row.pair_id) == ("cancel_order", "angry", "returns-2")
    assert row.entities == [{"entity": "thing", "start": 0, "end": 3, "value": "the"}]
    assert (row.author, row.predicted, row.confidence) == ("ada", "track_order", 0.95)
    assert row.ranking == {"track_order": 0.95, "cancel_order": 0.03}
    assert row.at == "2026-05-04T09:00:00.000000+00:00"
    assert (row.conversation_id, row.model_version) == ("of-t1", "m1")
    assert report.sources == {"corrected": 1}
    assert report.dropped == {}


@pytest.mark.parametrize(
    ("answer", "pair", "taught"),
    [
        ("right", None, "returns-2"),
        ("pair", "returns-1", "returns-1"),
        ("pair", "old-1", None),
        ("wrong", None, None),
        ("none", None, None),
    ],
)
async def test_a_reviewers_word_on_the_answer_teaches_the_pair(
    log: Log, answer: Any, pair: str | None, taught: str | None
) -> None:
    await log.has(lambda c: add_turn(c, "t1", "how do I send it back", qa_pair_id="returns-2"))
    await log.label("t1", intent="return_item", answer=answer, answer_pair_id=pair)
    rows, _ = await log.harvest()
    assert rows["t1"].pair_id == taught


async def test_what_people_do_not_agree_on_or_refuse_teaches_nothing(log: Log) -> None:
    for id_ in ("disputed", "rejected", "revoked", "nothing", "holds"):
        await log.has(lambda c, id_=id_: add_turn(c, id_, words(id_), confidence=0.5))
    await log.label("disputed", intent="track_order")
    await log.label("disputed", "ben", intent="cancel_order")
    await log.label("rejected", kind="reject", reject_reason="spam")
    await log.revoke(await log.label("revoked", intent="track_order"))
    await log.label("nothing", answer="wrong")
    await log.label("holds", intent="track_order")
    # A customer's thumb does not speak louder than a reviewer.
    for id_ in ("disputed", "rejected", "nothing"):
        await log.has(lambda c, id_=id_: thumb(c, id_, 1))
    rows, report = await log.harvest()
    assert list(rows) == ["holds"]
    dropped = {name: report.dropped[name] for name in ("disputed", "rejected", "nothing_taught")}
    assert dropped == {"disputed": 1, "rejected": 1, "nothing_taught": 1}


async def test_a_label_that_was_taken_back_leaves_the_next_version(log: Log) -> None:
    await log.has(lambda c: add_turn(c, "t1", "one", confidence=0.5))
    await log.has(lambda c: add_turn(c, "t2", "two", confidence=0.5))
    await log.has(lambda c: add_turn(c, "t3", "three", confidence=0.5))
    first = await log.label("t1", intent="track_order")
    await log.label("t2", intent="track_order")
    before, _ = await log.harvest()
    await log.revoke(first)
    await log.label("t3", intent="cancel_order")
    rows, report = await log.harvest(before=before.values())
    assert set(rows) == {"t2", "t3"}
    assert (report.carried, report.gone) == (1, 1)


async def test_a_row_whose_turn_has_left_the_log_is_not_carried_over(log: Log) -> None:
    for id_ in ("t1", "t2"):
        await log.has(lambda c, id_=id_: add_turn(c, id_, words(id_), confidence=0.5))
        await log.label(id_, intent="track_order")
    before, _ = await log.harvest()
    gone = tables.conversation.c.id == "of-t1"
    await log.has(lambda c: c.execute(delete(tables.conversation).where(gone)))
    rows, report = await log.harvest(before=before.values())
    assert (set(rows), report.carried, report.gone) == ({"t2"}, 1, 1)


def offer(*pairs: str) -> list[dict[str, Any]]:
    return [{"text": "One of these?", "metadata": {"qa_offered": [{"id": id_} for id_ in pairs]}}]


def click(pair: str) -> dict[str, Any]:
    return {"text": f'/choose_answer{{"qa_id": "{pair}"}}', "ranking": [("choose_answer", 1.0)]}


async def test_a_click_on_an_offered_question_teaches_its_pair(log: Log) -> None:
    def fill(connection: Connection) -> None:
        add_conversation(connection, "c1", customer_id="max")
        offered = offer("returns-1", "returns-2")
        add_turn(connection, "asked", "the shoes", conversation_id="c1", replies=offered)
        add_turn(connection, "other", "hello?", conversation_id="c1", minute=1, confidence=0.2)
        add_turn(connection, "click", conversation_id="c1", minute=2, **click("returns-2"))

    await log.has(fill)
    rows, report = await log.harvest()
    assert set(rows) == {"asked"}
    row = rows["asked"]
    assert (row.source, row.weight) == ("clicked", 0.5)
    assert (row.pair_id, row.intent) == ("returns-2", "return_item")
    assert (row.emotion, row.entities, row.author) == (None, None, None)
    assert report.sources == {"clicked": 1}


@pytest.mark.parametrize("pair", ["none", "old-1", "returns-2", "unheard-of"])
async def test_other_clicks_teach_nothing(log: Log, pair: str) -> None:
    """None of these, a pair that is not answered any longer, one that was not offered."""

    def fill(connection: Connection) -> None:
        add_conversation(connection, "c1")
        replies = offer("returns-1", "old-1")
        add_turn(
            connection, "asked", "the shoes", conversation_id="c1", replies=replies, confidence=0.5
        )
        add_turn(connection, "click", conversation_id="c1", minute=1, **click(pair))

    await log.has(fill)
    assert (await log.harvest())[0] == {}


async def test_the_last_of_several_clicks_counts_and_a_thumb_down_takes_one_back(log: Log) -> None:
    def fill(connection: Connection) -> None:
        add_conversation(connection, "c1")
        replies = offer("returns-1", "returns-2")
        add_turn(connection, "asked", "shoes", conversation_id="c1", replies=replies)
        add_turn(connection, "first", conversation_id="c1", minute=1, **click("returns-1"))
        add_turn(connection, "second", conversation_id="c1", minute=2, **click("returns-2"))

    await log.has(fill)
    rows, _ = await log.harvest()
    assert rows["asked"].pair_id == "returns-2"
    await log.has(lambda c: thumb_in(c, "c1", "second", -1))
    rows, _ = await log.harvest()
    assert rows["asked"].pair_id == "returns-1"


def thumb_in(connection: Connection, conversation_id: str, turn_id: str, score: int) -> None:
    row = {
        "id": f"thumb:{turn_id}",
        "conversation_id": conversation_id,
        "turn_id": turn_id,
        "kind": "thumb",
        "score": score,
        "created_at": START,
    }
    connection.execute(insert(tables.feedback), row)


async def test_a_thumb_up_confirms_what_was_understood(log: Log) -> None:
    fallback = [("nlu_fallback", 0.3), ("track_order", 0.2)]

    def fill(connection: Connection) -> None:
        add_turn(connection, "liked", "send it back", qa_pair_id="returns-1", confidence=0.7)
        add_turn(connection, "torn", "two answers", confidence=0.7)
        add_turn(connection, "lucky", "erm the box", qa_pair_id="returns-2", ranking=fallback)
        add_turn(connection, "unlucky", "erm what", ranking=fallback)
        for id_ in ("liked", "torn", "lucky", "unlucky"):
            thumb(connection, id_, 1)
        thumb(connection, "torn", -1, message="2")

    await log.has(fill)
    rows, report = await log.harvest()
    assert set(rows) == {"liked", "lucky"}
    assert (rows["liked"].source, rows["liked"].weight) == ("rated", 0.7)
    assert (rows["liked"].intent, rows["liked"].pair_id) == ("track_order", "returns-1")
    # The model did not know; the answer that helped does.
    assert (rows["lucky"].intent, rows["lucky"].pair_id) == ("return_item", "returns-2")
    assert report.dropped == {"nothing_taught": 1}


def agent_says(connection: Connection, conversation_id: str, text: str, seq: int) -> None:
    at = START + timedelta(minutes=seq // 2)
    connection.execute(
        insert(tables.message),
        {
            "id": f"{conversation_id}-{seq}",
            "conversation_id": conversation_id,
            "seq": seq,
            "direction": "out",
            "author": "agent",
            "agent_id": "ben",
            "channel": "api",
            "account": conversation_id,
            "text": text,
            "state": "sent",
            "created_at": at,
        },
    )


def called(connection: Connection, conversation_id: str, **changes: Any) -> None:
    row = {
        "id": f"handoff-{conversation_id}",
        "conversation_id": conversation_id,
        "reason": "low_confidence",
        "at": START,
        "answered_at": START,
    }
    connection.execute(insert(tables.handoff), row | changes)


@pytest.mark.parametrize(
    ("words", "taught"),
    [
        (RETURNS, True),
        (f"Hello, this is Ben.\n{RETURNS}", True),
        (RETURNS.replace(" ", "  "), True),
        (f"{RETURNS} But not this one, sorry.", False),
        ("You can return it, I think.", False),
    ],
)
async def test_an_agent_who_puts_a_stored_answer_in_teaches_its_pair(
    log: Log, words: str, taught: bool
) -> None:
    def fill(connection: Connection) -> None:
        add_conversation(connection, "c1", status="agent")
        add_turn(connection, "t1", "the shoes again", conversation_id="c1", confidence=0.5)
        called(connection, "c1")
        agent_says(connection, "c1", words, seq=2)
        add_turn(connection, "t2", "thank you", conversation_id="c1", confidence=0.5, minute=2)

    await log.has(fill)
    rows, _ = await log.harvest()
    assert set(rows) == ({"t1"} if taught else set())
    if taught:
        row = rows["t1"]
        assert (row.source, row.weight, row.author) == ("agent", 0.7, "ben")
        assert (row.pair_id, row.intent) == ("returns-1", "return_item")


async def test_the_call_for_a_person_is_not_what_the_agent_answers(log: Log) -> None:
    def fill(connection: Connection) -> None:
        add_conversation(connection, "c1", status="agent")
        add_turn(connection, "t1", "a person please", conversation_id="c1", confidence=0.5)
        called(connection, "c1", reason="asked", turn_id="t1")
        agent_says(connection, "c1", RETURNS, seq=2)

    await log.has(fill)
    assert (await log.harvest())[0] == {}


async def test_what_nobody_spoke_of_is_taken_as_the_model_saw_it(log: Log) -> None:
    payload = '/track_order{"order": "1"}'

    def fill(connection: Connection) -> None:
        add_turn(connection, "label", "where is my hat", confidence=0.5)
        add_turn(connection, "sure", "where is my parcel", emotion_confidence=0.97)
        add_turn(connection, "calm", "where is my coat")
        add_turn(connection, "unsure", "where is it", confidence=0.94)
        add_turn(connection, "fallback", "wher", ranking=[("nlu_fallback", 0.99)])
        add_turn(connection, "payload", payload, ranking=[("track_order", 1.0)])
        add_turn(connection, "words", "where is my shoe", mode="lexical")
        add_turn(connection, "failed", "where is my sock", error="timeout")
        add_turn(connection, "disliked", "where is my tie")
        add_turn(connection, "poor", "where is my belt")
        add_turn(connection, "good", "where is my scarf")
        thumb(connection, "disliked", -1)
        rating(connection, "of-poor", 2)
        rating(connection, "of-good", 3)

    await log.has(fill)
    await log.label("label", intent="track_order")
    rows, report = await log.harvest(pseudo_share=5)
    assert set(rows) == {"label", "sure", "calm", "good"}
    assert (rows["sure"].source, rows["sure"].weight) == ("pseudo", 0.5)
    assert (rows["sure"].intent, rows["sure"].emotion) == ("track_order", "neutral")
    assert (rows["calm"].intent, rows["calm"].emotion) == ("track_order", None)
    assert report.sources == {"corrected": 1, "pseudo": 3}


async def test_what_nobody_spoke_of_is_of_the_last_weeks_and_not_carried_over(log: Log) -> None:
    await log.has(lambda c: add_turn(c, "label", "where is my hat", confidence=0.5))
    await log.label("label", intent="track_order")
    await log.has(lambda c: add_turn(c, "sure", "where is my parcel"))
    before, _ = await log.harvest()
    assert set(before) == {"label", "sure"}
    rows, report = await log.harvest(until=START + timedelta(days=29), before=before.values())
    assert set(rows) == {"label"}
    assert (report.carried, report.gone) == (1, 0)


async def test_as_many_unspoken_of_as_corrected_with_an_equal_share_of_each_intent(
    log: Log,
) -> None:
    def fill(connection: Connection) -> None:
        for number in range(6):
            add_turn(connection, f"label-{number}", f"label {number * 'x'}", confidence=0.5)
        for number in range(20):
            intent = "rare" if number < 2 else "usual"
            words = f"{intent} {'y' * number}"
            add_turn(connection, f"sure-{number:02}", words, ranking=[(intent, 0.99)])

    await log.has(fill)
    for number in range(6):
        await log.label(f"label-{number}", intent="track_order")
    rows, report = await log.harvest()
    pseudo = [row for row in rows.values() if row.source == "pseudo"]
    assert sorted(row.intent or "" for row in pseudo) == ["rare"] * 2 + ["usual"] * 3
    assert report.dropped == {"share": 15}
    usual = {row.turn_id for row in pseudo if row.intent == "usual"}
    ids = [f"sure-{number:02}" for number in range(2, 20)]
    by_lot = sorted(ids, key=lambda id_: lot(id_, "learn-pseudo"))
    assert usual == set(by_lot[:3])
    assert (await log.harvest(pseudo_share=0))[1].sources == {"corrected": 6}
    assert (await log.harvest(pseudo_share=0.5))[1].sources == {"corrected": 6, "pseudo": 3}


async def test_of_the_same_words_the_most_believed_counts_then_the_newest(log: Log) -> None:
    def fill(connection: Connection) -> None:
        for minute, id_ in enumerate(("old", "new", "liked", "sure")):
            add_turn(connection, id_, f"Where is order {minute}?", minute=minute)
        thumb(connection, "liked", 1)

    await log.has(fill)
    await log.label("old", intent="track_order")
    await log.label("new", intent="cancel_order")
    rows, report = await log.harvest()
    assert {id_: row.intent for id_, row in rows.items()} == {"new": "cancel_order"}
    # `liked` twice: as rated, and as one that nobody corrected.
    assert report.dropped == {"duplicate": 4}


async def test_test_turns_stay_apart_whatever_reads_the_same(log: Log) -> None:
    ids = [f"t{number}" for number in range(40)]
    tests = {id_ for id_ in ids if lot(id_, "learn-test") < 0.3}
    assert 5 < len(tests) < 20
    (double, *_) = sorted(tests)

    def fill(connection: Connection) -> None:
        for number, id_ in enumerate(ids):
            add_turn(connection, id_, f"words {number * 'x'}", minute=number, confidence=0.5)
        again = f"Words {ids.index(double) * 'x'}!"
        add_turn(connection, "again", again, minute=100, confidence=0.5)

    await log.has(fill)
    assert lot("again", "learn-test") >= 0.3
    for id_ in (*ids, "again"):
        await log.label(id_, intent="track_order")
    rows, report = await log.harvest(test_share=0.3, is_drawn=lambda _: True)
    assert {id_ for id_, row in rows.items() if row.split == "test"} == tests
    assert "again" not in rows
    assert report.test == len(tests)
    # Even where the test turn itself is one too many: its words are not trained on.
    await log.has(lambda c: c.execute(update(tables.conversation).values(customer_id="one")))
    rows, _ = await log.harvest(test_share=0.3, is_drawn=lambda _: True, per_customer=1)
    assert len(rows) == 1
    assert rows.keys() <= {ids[-1]}
    # More of them do not make it another test set.
    rows, _ = await log.harvest(test_share=0.3, is_drawn=lambda _: True, per_customer=100)
    assert {id_ for id_, row in rows.items() if row.split == "test"} == tests


async def test_only_turns_drawn_by_lot_are_tested_with(log: Log) -> None:
    def fill(connection: Connection) -> None:
        for number, id_ in enumerate(("drawn", "chosen")):
            add_turn(connection, id_, f"words {number * 'x'}", minute=number, confidence=0.5)

    await log.has(fill)
    for id_ in ("drawn", "chosen"):
        await log.label(id_, intent="track_order")
    rows, _ = await log.harvest(test_share=1.0, is_drawn=lambda id_: id_ == "drawn")
    assert {id_: row.split for id_, row in rows.items()} == {"drawn": "test", "chosen": "train"}


async def test_of_intents_without_test_texts_some_turns_are_tested_with(log: Log) -> None:
    ids = [f"turn-{number:03}" for number in range(200)]

    def fill(connection: Connection) -> None:
        for number, id_ in enumerate(ids):
            add_turn(connection, id_, f"words {number * 'x'}", minute=number, confidence=0.5)

    await log.has(fill)
    for number, id_ in enumerate(ids):
        await log.label(id_, intent="new" if number % 2 else "track_order")
    chosen = {"is_drawn": lambda _: False, "test_share": 1.0, "per_customer": 1000}
    rows, report = await log.harvest(tested={"track_order", "greet"}, **chosen)
    tests = {id_ for id_, row in rows.items() if row.split == "test"}
    assert {rows[id_].intent for id_ in tests} == {"new"}
    # A tenth of a hundred, give or take twice what chance does.
    assert 4 <= len(tests) == report.test <= 16
    # The same ones each time, whatever else the set has meanwhile; fewer on a smaller share.
    rows, _ = await log.harvest(tested={"greet", "track_order", "pay"}, **chosen)
    assert {id_ for id_, row in rows.items() if row.split == "test"} == tests
    rows, report = await log.harvest(tested={"track_order"}, **chosen | {"test_share": 0.2})
    assert {id_ for id_, row in rows.items() if row.split == "test"} < tests
    # Where there is no test set there is none to complete.
    for tested, share in (((), 1.0), ({"track_order"}, 0.0)):
        _, report = await log.harvest(tested=tested, **chosen | {"test_share": share})
        assert report.test == 0


async def test_what_new_intents_are_taken_for_teaches_nothing_unspoken(log: Log) -> None:
    def fill(connection: Connection) -> None:
        for number in range(6):
            taken_for = "track_order" if number % 2 else "cancel_order"
            add_turn(
                connection,
                f"sure-{number}",
                f"words {number * 'x'}",
                minute=number,
                intent=taken_for,
            )
        add_turn(connection, "told", "wrap it up", minute=9, intent="cancel_order", confidence=0.5)
        # By now it is seen, and others that are taken for it are of it.
        add_turn(connection, "seen", "as a gift", minute=10, intent="gift", confidence=0.5)
        add_turn(connection, "gift", "gift wrap please", minute=11, intent="gift")

    await log.has(fill)
    await log.label("told", intent="gift")
    await log.label("seen", intent="gift")
    sure = {f"sure-{number}" for number in range(6)}
    rows, _ = await log.harvest(pseudo_share=5.0)
    assert rows.keys() & sure
    tested = {"track_order", "cancel_order"}
    rows, report = await log.harvest(pseudo_share=5.0, tested=tested, is_drawn=lambda _: False)
    assert {rows[id_].intent for id_ in rows.keys() & sure} == {"track_order"}
    assert (rows["gift"].source, rows["gift"].intent) == ("pseudo", "gift")
    assert report.dropped["mixed_up"] == 3
    # A known intent is mixed up with others every day.
    rows, _ = await log.harvest(pseudo_share=5.0, tested={*tested, "gift"})
    assert {rows[id_].intent for id_ in rows.keys() & sure} == {"track_order", "cancel_order"}


async def test_at_most_so_many_of_a_customer_and_of_a_source(log: Log) -> None:
    def fill(connection: Connection) -> None:
        for id_, customer in (("c1", "max"), ("c2", "max"), ("c3", None), ("c4", None)):
            add_conversation(connection, id_, customer_id=customer)
            for number in range(3):
                add_turn(
                    connection,
                    f"{id_}-{number}",
                    words(f"{id_}-{number}"),
                    conversation_id=id_,
                    minute=10 * number + int(id_[1]),
                    confidence=0.5,
                )
        for id_ in ("c3", "c4"):
            for number in range(3):
                thumb_in(connection, id_, f"{id_}-{number}", 1)

    await log.has(fill)
    for id_ in ("c1", "c2"):
        for number in range(3):
            await log.label(f"{id_}-{number}", intent="track_order")
    rows, report = await log.harvest(per_customer=2)
    # The two conversations of one proven customer count together, the newest turns stay.
    assert set(rows) == {"c1-2", "c2-2", "c3-1", "c3-2", "c4-1", "c4-2"}
    assert report.dropped == {"customer": 6}
    assert rows["c1-2"].customer == rows["c2-2"].customer != rows["c3-1"].customer
    assert "max" not in rows["c1-2"].as_line().replace(rows["c1-2"].text, "")
    rows, report = await log.harvest(per_source=2)
    assert set(rows) == {"c1-2", "c2-2", "c3-2", "c4-2"}
    assert report.dropped == {"source": 8}


async def erasing(log: Log, conversation_id: str) -> None:
    """Somebody asks that a conversation be erased."""
    request = NewRequest(
        id="r1",
        kind="conversation",
        actor="anna",
        target_hash="h",
        work={"conversations": [conversation_id]},
        steps=["rows"],
    )
    await log.has(lambda c: erasures.add(c, request=request, now=START))


async def test_what_is_being_erased_is_left_out_and_hides_nobody_else(log: Log) -> None:
    def fill(connection: Connection) -> None:
        add_turn(connection, "t1", "the very same words", minute=1, confidence=0.5)
        add_turn(connection, "t2", "the very same words", confidence=0.5)

    await log.has(fill)
    for id_ in ("t1", "t2"):
        await log.label(id_, intent="track_order")
    assert set((await log.harvest())[0]) == {"t1"}
    await erasing(log, "of-t1")
    rows, report = await log.harvest()
    assert set(rows) == {"t2"}
    assert report.dropped == {"erased": 1}


async def test_whose_erasure_is_asked_for_while_the_harvest_runs_is_not_written(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id_ in ("t1", "t2"):
        await log.has(lambda c, id_=id_: add_turn(c, id_, words(id_), confidence=0.5))
        await log.label(id_, intent="track_order")
    write = harvesting._write

    async def late(*args: Any) -> Any:
        await erasing(log, "of-t1")
        return await write(*args)

    monkeypatch.setattr(harvesting, "_write", late)
    rows, report = await log.harvest()
    assert (set(rows), report.dropped) == ({"t2"}, {"erased": 1})


async def test_only_turns_up_to_the_moment_are_read(log: Log) -> None:
    for minute, id_ in enumerate(("t1", "t2")):
        await log.has(
            lambda c, id_=id_, minute=minute: add_turn(
                c, id_, words(id_), minute=minute, confidence=0.5
            )
        )
        await log.label(id_, intent="track_order")
    assert set((await log.harvest(until=START))[0]) == {"t1"}
    assert set((await log.harvest(until=START + timedelta(minutes=1)))[0]) == {"t1", "t2"}


async def test_the_same_log_gives_the_same_bytes_however_it_is_read(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(connection: Connection) -> None:
        for number in range(30):
            words = f"words {number * 'x'}"
            # Several turns of one moment.
            add_turn(connection, f"t{number:02}", words, minute=number // 4)
        for number in range(5, 10):
            thumb(connection, f"t{number:02}", 1)

    await log.has(fill)
    for number in range(5):
        await log.label(f"t{number:02}", intent="cancel_order")
    out = log.folder / "run" / "candidates.jsonl"
    _, report = await log.harvest()
    first = out.read_bytes()
    assert report.sources == {"corrected": 5, "rated": 5, "pseudo": 5}
    assert (await log.harvest())[1] == report
    assert out.read_bytes() == first
    for name in ("STRETCH", "PAGE", "CONVERSATIONS", "WRITTEN"):
        monkeypatch.setattr(harvesting, name, 3)
    assert (await log.harvest())[1] == report
    assert out.read_bytes() == first
    moments = [Row.of_line(line).at for line in first.decode().splitlines()]
    assert moments == sorted(moments)


async def test_an_empty_log_teaches_nothing(log: Log) -> None:
    rows, report = await log.harvest()
    assert (rows, report.rows, report.dropped) == ({}, 0, {})


async def test_a_label_taken_back_while_the_harvest_runs_is_not_written(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id_ in ("t1", "t2"):
        await log.has(lambda c, id_=id_: add_turn(c, id_, words(id_), confidence=0.5))
    taken_back = await log.label("t1", intent="track_order")
    await log.label("t2", intent="track_order")
    write = harvesting._write

    async def late(*args: Any) -> Any:
        await log.revoke(taken_back)
        return await write(*args)

    monkeypatch.setattr(harvesting, "_write", late)
    rows, report = await log.harvest()
    assert (set(rows), report.dropped) == ({"t2"}, {"changed": 1})
