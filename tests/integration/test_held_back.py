"""What the guard holds back waits in the log, is decided once, and goes with its turn."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from bot.learning.guard.held import Held
from bot.log import held_back, reviews, tables
from bot.log.annotations import Judgement
from bot.log.database import open_engine, upgrade
from tests.integration.review_log import START, add_agents, add_turn


@pytest.fixture
def log(database_url: str) -> Iterator[Connection]:
    upgrade(database_url)
    engine = open_engine(database_url, writer=True)
    with engine.connect() as connection:
        add_agents(connection, "ann", "ben")
        for number in range(5):
            add_turn(connection, f"t{number}", f"text {number}", minute=number)
        yield connection
        connection.rollback()
    engine.dispose()


def held(turn: str, reason: Any = "label_error", **changes: Any) -> Held:
    row = {"detail": {"likely": "pay"}, "intent": "greet", "source": "corrected", "author": "ann"}
    return Held(turn_id=turn, reason=reason, **(row | changes))


def keep(log: Connection, *some: Held, day: int = 0, run_id: str = "r1") -> int:
    now = START + timedelta(days=day)
    return held_back.keep(log, held=some, run_id=run_id, now=now)


def decide(log: Connection, turn: str, decision: Any, by: str = "ben") -> bool:
    return held_back.decide(
        log, turn_id=turn, decision=decision, by=by, now=START + timedelta(days=3)
    )


def test_what_is_held_is_shown_with_its_turn_oldest_first(log: Connection) -> None:
    assert keep(log, held("t2", detail={"share": 0.5}), day=1) == 1
    assert keep(log, held("t1", "trigger"), held("t0", author=None)) == 2
    first, second, third = held_back.open_ones(log)
    assert [first["turn_id"], second["turn_id"], third["turn_id"]] == ["t0", "t1", "t2"]
    assert (second["text"], second["predicted"], second["confidence"]) == (
        "text 1",
        "track_order",
        0.95,
    )
    assert (second["reason"], second["intent"], second["author_name"]) == (
        "trigger",
        "greet",
        "ann",
    )
    assert (third["detail"], third["created_at"]) == ({"share": 0.5}, START + timedelta(days=1))
    assert first["author_name"] is None


def test_pages_follow_each_other_and_one_reason_can_be_asked_for(log: Connection) -> None:
    keep(
        log, *(held(f"t{number}", "trigger" if number % 2 else "influence") for number in range(5))
    )
    page = held_back.open_ones(log, limit=2)
    assert [row["turn_id"] for row in page] == ["t0", "t1"]
    rest = held_back.open_ones(log, limit=9, after="t1")
    assert [row["turn_id"] for row in rest] == ["t2", "t3", "t4"]
    only = held_back.open_ones(log, reason="trigger", after="t1")
    assert [row["turn_id"] for row in only] == ["t3"]


def test_a_later_run_brings_an_open_one_up_to_date_and_keeps_its_age(log: Connection) -> None:
    keep(log, held("t0"))
    assert keep(log, held("t0", "trigger", intent="pay"), day=1, run_id="r2") == 1
    (row,) = held_back.open_ones(log)
    assert (row["reason"], row["intent"], row["run_id"]) == ("trigger", "pay", "r2")
    assert row["created_at"] == START


def test_what_was_decided_is_not_opened_again(log: Connection) -> None:
    keep(log, held("t0"), held("t1"), held("t2"))
    assert decide(log, "t0", "approved")
    assert decide(log, "t1", "rejected")
    assert not decide(log, "t1", "approved")
    assert keep(log, held("t0", "trigger"), held("t1", "trigger"), day=1) == 0
    assert [row["turn_id"] for row in held_back.open_ones(log)] == ["t2"]
    assert held_back.decisions(log) == {"t0": "approved", "t1": "rejected"}


def test_who_says_something_else_of_a_turn_has_it_judged_anew(log: Connection) -> None:
    keep(log, held("t0"), held("t1"))
    decide(log, "t0", "approved")
    for turn_id in ("t0", "t1"):
        judgement = Judgement(turn_id=turn_id, agent_id="ann", intent="pay")
        reviews.record(log, judgement=judgement, queued=False, id_=f"a-{turn_id}", now=START)
    assert held_back.decisions(log) == {}
    # What nobody has decided on still waits.
    assert [row["turn_id"] for row in held_back.open_ones(log)] == ["t1"]
    assert keep(log, held("t0"), day=1) == 1


def test_nobody_decides_on_their_own_label(log: Connection) -> None:
    keep(log, held("t0", author="ann"), held("t1", author=None))
    assert not decide(log, "t0", "approved", by="ann")
    assert held_back.decisions(log) == {}
    assert decide(log, "t0", "approved", by="ben")
    # What customers clicked has no author that could decide.
    assert decide(log, "t1", "approved", by="ann")


def test_nothing_is_decided_that_is_not_held(log: Connection) -> None:
    assert not decide(log, "t0", "approved")


def test_a_turn_that_is_gone_is_left_out_and_takes_its_row_with_it(log: Connection) -> None:
    keep(log, held("t0"))
    log.execute(delete(tables.turn).where(tables.turn.c.id == "t0"))
    assert held_back.open_ones(log) == []
    assert keep(log, held("t0"), held("t1")) == 1
    assert [row["turn_id"] for row in held_back.open_ones(log)] == ["t1"]


def test_counts_name_every_reason_and_state(log: Connection) -> None:
    keep(log, held("t0"), held("t1"), held("t2", "trigger"))
    decide(log, "t0", "approved")
    found = held_back.counts(log)
    assert found["label_error"] == {"open": 1, "approved": 1, "rejected": 0}
    assert found["trigger"] == {"open": 1, "approved": 0, "rejected": 0}
    assert found["protected"] == {"open": 0, "approved": 0, "rejected": 0}


def test_more_than_one_statement_holds_are_kept(log: Connection) -> None:
    for number in range(5, 605):
        add_turn(log, f"t{number}", "text", minute=number)
    assert keep(log, *(held(f"t{number}") for number in range(605))) == 605
    assert held_back.counts(log)["label_error"]["open"] == 605
