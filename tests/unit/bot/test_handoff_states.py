"""The state machine of a conversation, move by move and in any order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.handoff import states
from bot.log.records import Status

START = datetime(2026, 6, 17, 10, tzinfo=UTC)
EMPTY: dict[str, Any] = {
    "status": "bot",
    "handoff_reason": None,
    "agent_id": None,
    "assignee_id": None,
    "waiting_since": None,
    "taken_at": None,
    "handed_back_at": None,
    "outcome": None,
    "queue_told": None,
    "queue_told_at": None,
    "hand_back_id": None,
}


def do(row: dict[str, Any], move: states.Move, number: int = 1) -> dict[str, Any] | None:
    """The row after a move; None where it is not possible."""
    now = START + timedelta(minutes=number)
    changes: states.Changes | None
    if move == "ask":
        changes = states.ask(row, reason="asked", now=now)
    elif move == "assign":
        changes = states.assign(row, assignee_id=f"agent-{number}")
    elif move == "take":
        changes = states.take(row, agent_id=f"agent-{number}", now=now)
    elif move == "transfer":
        changes = states.transfer(row, agent_id=f"agent-{number}", now=now)
    elif move == "release" or move == "fall_silent":
        changes = states.put_back(row, move, now=now)
    else:
        changes = states.end(row, move, outcome="resolved", event_id=f"e-{number}", now=now)
    return None if changes is None else {**row, **changes}


class Conversation(RuleBasedStateMachine):
    """Any moves in any order keep what each state promises."""

    def __init__(self) -> None:
        super().__init__()
        self.row = dict(EMPTY)
        self.number = 0

    @rule(move=st.sampled_from(states.MOVES))
    def attempt(self, move: states.Move) -> None:
        self.number += 1
        before = dict(self.row)
        after = do(self.row, move, self.number)
        assert (after is not None) == states.allows(before, move)
        assert self.row == before, "a move changes nothing by itself"
        if after is None:
            return
        self.row = after
        people = before["status"] in ("waiting", "agent")
        left = people and after["status"] in ("bot", "closed")
        assert (after["hand_back_id"] == f"e-{self.number}") == left

    @precondition(lambda self: self.row["hand_back_id"] is not None)
    @rule()
    def settle(self) -> None:
        self.row["hand_back_id"] = None

    @precondition(lambda self: self.row["status"] == "closed")
    @rule()
    def write_again(self) -> None:
        self.row["status"] = "bot"

    @invariant()
    def only_an_agent_holds(self) -> None:
        assert (self.row["agent_id"] is not None) == (self.row["status"] == "agent")

    @invariant()
    def what_an_agent_has_is_meant_for_nobody_else(self) -> None:
        if self.row["status"] in ("agent", "closed"):
            assert self.row["assignee_id"] is None

    @invariant()
    def who_waits_waits_since_a_moment(self) -> None:
        assert (self.row["waiting_since"] is not None) == (self.row["status"] == "waiting")

    @invariant()
    def with_nobody_nothing_of_an_agent_is_left(self) -> None:
        if self.row["status"] in ("bot", "closed"):
            assert self.row["taken_at"] is None
            assert self.row["queue_told"] is None


TestConversation = Conversation.TestCase


def test_the_usual_way() -> None:
    row = dict(EMPTY)
    for move, status in (
        ("ask", "waiting"),
        ("take", "agent"),
        ("hand_back", "bot"),
        ("ask", "waiting"),
        ("give_up", "bot"),
        ("close", "closed"),
    ):
        after = do(row, move)  # type: ignore[arg-type]
        assert after is not None
        assert after["status"] == status
        row = after


def test_who_is_meant_stays_meant_in_the_queue_until_somebody_has_it() -> None:
    meant = do(dict(EMPTY), "assign", 7)
    assert meant is not None
    assert (meant["status"], meant["assignee_id"]) == ("bot", "agent-7")
    waiting = do(meant, "ask")
    assert waiting is not None
    assert (waiting["status"], waiting["assignee_id"]) == ("waiting", "agent-7")
    taken = do(waiting, "take", 2)
    assert taken is not None
    assert (taken["agent_id"], taken["assignee_id"]) == ("agent-2", None)


def test_a_transfer_changes_the_agent_and_the_time_to_answer_begins_anew() -> None:
    taken = do({**EMPTY, "status": "waiting"}, "take", 1)
    assert taken is not None
    given = do(taken, "transfer", 2)
    assert given is not None
    assert (given["status"], given["agent_id"]) == ("agent", "agent-2")
    assert given["taken_at"] > taken["taken_at"]
    assert do(given, "transfer", 2) is None, "who has it is given nothing"


@given(st.sampled_from(["agent", "closed"]), st.integers(1, 9))
def test_two_agents_cannot_take_the_same(status: Status, number: int) -> None:
    assert do({**EMPTY, "status": status}, "take", number) is None


def test_who_lost_the_agent_is_known_to_have_been_served() -> None:
    taken = do({**EMPTY, "status": "waiting"}, "take", 1)
    assert taken is not None
    waiting = do(taken, "fall_silent", 2)
    assert waiting is not None
    assert waiting["taken_at"] == taken["taken_at"]
    assert waiting["waiting_since"] > waiting["taken_at"]


def test_a_conversation_of_the_bots_is_closed_without_a_word_to_the_dialogue() -> None:
    closed = do(dict(EMPTY), "close")
    assert closed is not None
    assert closed["hand_back_id"] is None
    assert closed["outcome"] is None


@pytest.mark.parametrize(
    ("stored", "shown"),
    [("no_answer", "low_confidence"), ("emotion", "emotion"), ("vip", "vip"), (None, None)],
)
def test_reasons_of_earlier_versions_have_todays_names(stored: str | None, shown: object) -> None:
    assert states.reason_of({"handoff_reason": stored}) == shown
