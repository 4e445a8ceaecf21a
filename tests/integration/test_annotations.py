"""Corrections are added and never changed, and what holds of a turn follows from all of them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from bot.errors import RequestError
from bot.log import agreement, annotations, proposals, reader, reviews, store, tables
from bot.log.annotations import Judgement
from bot.log.database import open_engine, upgrade
from bot.log.proposals import Draft
from tests.integration.review_log import START, add_agents, add_turn


@pytest.fixture
def log(database_url: str) -> Iterator[Connection]:
    upgrade(database_url)
    engine = open_engine(database_url, writer=True)
    with engine.connect() as connection:
        add_agents(connection, "ann", "ben", "cat")
        yield connection
        connection.rollback()
    engine.dispose()


_made = iter(range(1_000_000))


def say(log: Connection, turn: str, agent: str, **labels: Any) -> str:
    """One judgement, a second after the one before; the state of the turn."""
    number = next(_made)
    judgement = Judgement(turn_id=turn, agent_id=agent, **labels)
    at = START + timedelta(seconds=number)
    return reviews.record(log, judgement=judgement, queued=False, id_=f"a{number:07}", now=at).state


def take_back(log: Connection, agent: str) -> reviews.Reviewed:
    number = next(_made)
    at = START + timedelta(seconds=number)
    return reviews.undo(log, annotation_id=None, agent_id=agent, id_=f"a{number:07}", now=at)


def holds(log: Connection, turn: str) -> annotations.Effective:
    found = annotations.effective_of(log, turn)
    assert found is not None
    return found


def test_no_record_is_changed_or_removed(log: Connection) -> None:
    add_turn(log, "t1", "where is my parcel")
    say(log, "t1", "ann", intent="track_order")
    for statement in (
        update(tables.annotation).values(intent="cancel_order"),
        update(tables.annotation).values(agent_id="ben"),
        delete(tables.annotation),
        *([text("TRUNCATE annotation")] if log.dialect.name == "postgresql" else []),
    ):
        with pytest.raises(DBAPIError, match="annotations"), log.begin_nested():
            log.execute(statement)
    assert log.execute(select(tables.annotation.c.intent)).scalars().all() == ["track_order"]


def test_erasure_takes_the_records_with_it(log: Connection) -> None:
    add_turn(log, "t1", "where is my parcel")
    say(log, "t1", "ann", intent="cancel_order")
    take_back(log, "ann")
    store.erase(log, conversation_id="of-t1", audit_id="x", actor="test", now=START)
    for table in (tables.annotation, tables.review_candidate, tables.review_lease):
        assert log.execute(select(table)).all() == []


def test_the_newest_of_an_author_counts_and_undo_goes_one_back(log: Connection) -> None:
    add_turn(log, "t1", "where is my parcel")
    assert say(log, "t1", "ann", intent="cancel_order") == "done"
    assert say(log, "t1", "ann", intent="inform", emotion="angry") == "done"
    assert holds(log, "t1").labels["intent"] == "inform"  # type: ignore[index]
    assert take_back(log, "ann").record["intent"] == "inform"
    assert holds(log, "t1").labels["intent"] == "cancel_order"  # type: ignore[index]
    assert take_back(log, "ann").state == "first"
    assert annotations.effective_of(log, "t1") is None
    with pytest.raises(RequestError, match="nothing of yours"):
        take_back(log, "ann")


def test_nobody_takes_back_what_another_said(log: Connection) -> None:
    add_turn(log, "t1", "where is my parcel")
    say(log, "t1", "ann", intent="cancel_order")
    (record,) = annotations.newest_of(log, agent_id="ann")
    with pytest.raises(RequestError):
        reviews.undo(log, annotation_id=record["id"], agent_id="ben", id_="x", now=START)
    assert holds(log, "t1").state == "labelled"


def test_two_who_contradict_each_other_leave_it_to_a_third(log: Connection) -> None:
    add_turn(log, "t1", "where is my parcel")
    say(log, "t1", "ann", intent="track_order", emotion="neutral")
    assert say(log, "t1", "ben", intent="inform", emotion="neutral") == "disputed"
    assert holds(log, "t1").labels is None
    assert [turn["id"] for turn in reviews.disputed(log)] == ["t1"]
    assert {said["agent_name"] for said in reviews.disputed(log)[0]["said"]} == {"ann", "ben"}
    assert say(log, "t1", "cat", intent="inform", emotion="neutral", settles=True) == "done"
    assert holds(log, "t1").labels["agent_id"] == "cat"  # type: ignore[index]
    assert reviews.disputed(log) == []
    take_back(log, "cat")
    assert holds(log, "t1").state == "disputed"
    take_back(log, "ben")
    assert holds(log, "t1").labels["intent"] == "track_order"  # type: ignore[index]


def test_two_who_speak_of_other_labels_complete_each_other(log: Connection) -> None:
    add_turn(log, "t1", "where is my parcel")
    say(log, "t1", "ann", intent="track_order")
    say(log, "t1", "ben", emotion="angry", answer="none")
    labels = holds(log, "t1").labels
    assert labels is not None
    assert (labels["intent"], labels["emotion"], labels["answer"]) == (
        "track_order",
        "angry",
        "none",
    )


@pytest.mark.parametrize(
    ("one", "other", "disputed"),
    [
        ({"emotion": "angry"}, {"emotion": "happy"}, True),
        ({"answer": "right"}, {"answer": "wrong"}, True),
        (
            {"answer": "pair", "answer_pair_id": "1"},
            {"answer": "pair", "answer_pair_id": "2"},
            True,
        ),
        ({"kind": "reject", "reject_reason": "spam"}, {"intent": "inform"}, True),
        (
            {"kind": "reject", "reject_reason": "spam"},
            {"kind": "reject", "reject_reason": "other"},
            False,
        ),
        (
            {"entities": [{"entity": "product", "start": 12, "end": 18, "text": "parcel"}]},
            {"entities": []},
            True,
        ),
        ({"intent": "inform"}, {"emotion": "angry"}, False),
    ],
)
def test_what_is_a_contradiction(
    log: Connection, one: dict[str, Any], other: dict[str, Any], disputed: bool
) -> None:
    add_turn(log, "t1", "where is my parcel")
    say(log, "t1", "ann", **one)
    assert (say(log, "t1", "ben", **other) == "disputed") is disputed


def test_spans_are_checked_against_the_text(log: Connection) -> None:
    add_turn(log, "t1", "\U0001f600 my HP-204418 from Leeds")
    good = {"entity": "order_number", "start": 5, "end": 14, "text": "HP-204418"}
    say(log, "t1", "ann", entities=[{**good, "value": "HP204418", "role": "old"}])
    assert holds(log, "t1").labels["entities"] == [  # type: ignore[index]
        {"entity": "order_number", "start": 5, "end": 14, "value": "HP204418", "role": "old"}
    ]
    for bad in (
        # As a script would count that knows no code points beyond the first plane.
        {"start": 6, "end": 15},
        {"start": 14, "end": 5},
        {"start": 5, "end": 400},
        {"start": -1},
        {"start": True},
        {"entity": "emotion"},
        {"entity": "a b"},
        {"value": 7},
        {"value": "x" * 301},
        {"role": "a b"},
    ):
        with pytest.raises(RequestError) as refused:
            say(log, "t1", "ann", entities=[good | bad])
        assert (refused.value.status, refused.value.field) == (422, "entities")
    with pytest.raises(RequestError, match="overlap"):
        say(log, "t1", "ann", entities=[good, {**good, "end": 9, "text": "HP-2"}])


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ({}, "intent"),
        ({"intent": ""}, "intent"),
        ({"intent": "x" * 121}, "intent"),
        ({"intent": "nlu_fallback"}, "intent"),
        ({"answer": "perhaps"}, "answer"),
        ({"answer": "pair"}, "answer_pair_id"),
        ({"answer": "right", "answer_pair_id": "1"}, "answer_pair_id"),
        ({"kind": "reject"}, "reject_reason"),
        ({"kind": "reject", "reject_reason": "dull"}, "reject_reason"),
    ],
)
def test_labels_that_mean_nothing_are_refused(
    log: Connection, labels: dict[str, Any], field: str
) -> None:
    add_turn(log, "t1", "where is my parcel")
    with pytest.raises(RequestError) as refused:
        say(log, "t1", "ann", **labels)
    assert (refused.value.status, refused.value.field) == (422, field)
    assert log.execute(select(tables.annotation)).all() == []


def test_a_rejected_turn_keeps_no_labels(log: Connection) -> None:
    add_turn(log, "t1", "where is my parcel")
    say(log, "t1", "ann", kind="reject", reject_reason="spam", intent="inform")
    (row,) = log.execute(select(tables.annotation)).mappings()
    assert (row["kind"], row["intent"], row["reject_reason"]) == ("reject", None, "spam")
    assert holds(log, "t1").state == "rejected"


def test_a_turn_that_is_gone_says_so(log: Connection) -> None:
    with pytest.raises(RequestError) as refused:
        say(log, "nothing", "ann", intent="inform")
    assert refused.value.status == 404


def test_the_log_is_read_with_what_holds(log: Connection) -> None:
    for name in ("plain", "right", "spam", "open"):
        add_turn(log, name, f"a text that is {name}")
    say(log, "right", "ann", intent="inform")
    say(log, "spam", "ann", kind="reject", reject_reason="spam")
    say(log, "open", "ann", intent="inform")
    say(log, "open", "ben", intent="greet")
    read = {turn["id"]: turn for turn in reader.turns(log)}
    assert {name: turn["review"] for name, turn in read.items()} == {
        "plain": None,
        "right": "labelled",
        "spam": "rejected",
        "open": "disputed",
    }
    assert read["open"]["annotation"] is None
    assert read["right"]["annotation"]["intent"] == "inform"
    (one,) = reader.turns(log, conversation_id="of-right")
    assert one["review"] == "labelled"


def test_progress_counts_what_stands(log: Connection) -> None:
    for name in ("one", "two"):
        add_turn(log, name, f"a text that is {name}")
        say(log, name, "ann", intent="inform", spent_ms=90_000)
    take_back(log, "ann")
    assert reviews.progress(log, agent_id="ann", since=START) == reviews.Progress(
        count=1, minutes=1.5
    )
    assert [row["text"] for row in reviews.history(log, agent_id="ann")] == ["a text that is one"]


def test_pages_of_a_history_leave_out_nothing_of_the_same_moment(log: Connection) -> None:
    for number in range(5):
        add_turn(log, f"turn{number}", f"text {number}")
        judgement = Judgement(turn_id=f"turn{number}", agent_id="ann", intent="inform")
        reviews.record(log, judgement=judgement, queued=False, id_=f"same{number}", now=START)
    seen: list[str] = []
    before = None
    while rows := reviews.history(log, agent_id="ann", before=before, limit=2):
        seen += [row["turn_id"] for row in rows]
        before = rows[-1]["id"]
    assert sorted(seen) == [f"turn{number}" for number in range(5)]


@pytest.mark.parametrize("state", ["proposed", "approved"])
def test_pages_of_proposals_leave_out_nothing_of_the_same_moment(
    log: Connection, state: Any
) -> None:
    for number in range(5):
        draft = Draft(kind="new", question=f"question {number}", answer="an answer")
        proposals.propose(log, draft=draft, id_=f"p{number}", author_id="ann", now=START)
    log.execute(update(tables.qa_proposal).values(state=state))
    seen: list[str] = []
    after = None
    while rows := proposals.listed(log, state=state, limit=2, after=after):
        seen += [row["id"] for row in rows]
        after = rows[-1]["id"]
    assert sorted(seen) == [f"p{number}" for number in range(5)]


def test_agreement_is_of_both_peoples_newest_words_in_the_period(log: Connection) -> None:
    labels = [("a", "a"), ("a", "a"), ("b", "b"), ("b", "a"), ("a", "b"), ("b", "b")]
    for number, (ann, ben) in enumerate(labels):
        turn = add_turn(log, f"k{number}", f"the blue mug number {number}")
        say(log, turn, "ann", intent="changed_later")
        say(log, turn, "ann", intent=ann, entities=[])
        mug = [{"entity": "product", "start": 9, "end": 12, "text": "mug"}] if number else []
        say(log, turn, "ben", intent=ben, entities=mug)
        say(log, turn, "cat", intent=ann, settles=True)
    alone = add_turn(log, "alone", "nobody else looked at this")
    say(log, alone, "ann", intent="a")
    found = agreement.agreements(log, since=START, until=START + timedelta(days=30))
    by_kind = {one.kind: one for one in found}
    assert {one.pair for one in found} == {("ann", "ben")}
    assert set(by_kind) == {"intent", "entities", "usable"}
    intent = by_kind["intent"]
    # Four of six the same; by chance (3 * 3 + 3 * 3) / 36 = half of them.
    assert (intent.turns, intent.observed) == (6, pytest.approx(4 / 6))
    assert intent.kappa == pytest.approx(1 / 3)
    # Five words a turn, and five times one of them is a product to Ben alone.
    assert (by_kind["entities"].items, by_kind["entities"].kappa) == (30, pytest.approx(0.0))
    assert by_kind["usable"].kappa is None
    assert agreement.agreements(log, since=START - timedelta(days=9), until=START) == []
