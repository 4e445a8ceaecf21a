"""The states of a conversation and what leads from one to the next: all rules, no database.

    bot -> waiting -> agent -> bot or closed

A standing is what a conversation's row says of this. A move gives the columns that change, or None
where the state does not allow it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from bot.log.records import Status

Move = Literal[
    "ask", "assign", "take", "transfer", "release", "fall_silent", "hand_back", "give_up", "close"
]
Standing = Mapping[str, Any]
Changes = dict[str, Any]

# Reasons that actions of one's own send are kept as they are.
_EARLIER_NAMES = {"no_answer": "low_confidence"}  # in logs of the first version
# What the system itself says came of it; agents say the others, or words of their own.
NOBODY_CAME = "nobody_came"
CLOSED = "closed"
OUTCOMES = ("resolved", "unresolved", "callback")

# From which states, and to which one; None stays where it is.
_MOVES: dict[Move, tuple[frozenset[Status], Status | None]] = {
    # The customer, or the bot for them, asks for a person.
    "ask": (frozenset({"bot", "closed"}), "waiting"),
    # Meant for one agent, who is told; any agent may still take it.
    "assign": (frozenset({"waiting", "bot"}), None),
    # An agent takes it; also unasked, where a look at the list shows that one is needed.
    "take": (frozenset({"waiting", "bot"}), "agent"),
    # From one agent straight to another.
    "transfer": (frozenset({"agent"}), "agent"),
    # Back into the queue: by hand, or because the agent does not answer.
    "release": (frozenset({"agent"}), "waiting"),
    "fall_silent": (frozenset({"agent"}), "waiting"),
    # Back to the bot: by hand, or because nobody took it.
    "hand_back": (frozenset({"agent"}), "bot"),
    "give_up": (frozenset({"waiting"}), "bot"),
    # A closed conversation opens again, for the bot, when the customer writes: the log does that.
    "close": (frozenset({"bot", "waiting", "agent"}), "closed"),
}
MOVES: tuple[Move, ...] = get_args(Move)
_NOBODYS: Changes = {
    "agent_id": None,
    "assignee_id": None,
    "taken_at": None,
    "waiting_since": None,
    "queue_told": None,
    "queue_told_at": None,
}


def allows(standing: Standing, move: Move) -> bool:
    """Whether the move is possible now."""
    return standing["status"] in _MOVES[move][0]


def ask(standing: Standing, *, reason: str, now: datetime) -> Changes | None:
    """Into the queue; whom it was meant for stays."""
    if not allows(standing, "ask"):
        return None
    meant = {"assignee_id": standing["assignee_id"]}
    waits = {"status": "waiting", "handoff_reason": reason, "waiting_since": now}
    return {**_NOBODYS, **meant, **waits}


def assign(standing: Standing, *, assignee_id: str | None) -> Changes | None:
    """Meant for an agent, or for anyone again (None); it stays where it is."""
    if not allows(standing, "assign"):
        return None
    return {"assignee_id": assignee_id}


def take(standing: Standing, *, agent_id: str, now: datetime) -> Changes | None:
    """To an agent, and to no second one."""
    if not allows(standing, "take"):
        return None
    return {**_NOBODYS, "status": "agent", "agent_id": agent_id, "taken_at": now}


def transfer(standing: Standing, *, agent_id: str, now: datetime) -> Changes | None:
    """From the agent who has it to another; the time to answer begins anew."""
    if not allows(standing, "transfer") or standing["agent_id"] == agent_id:
        return None
    return {**_NOBODYS, "status": "agent", "agent_id": agent_id, "taken_at": now}


def put_back(
    standing: Standing, move: Literal["release", "fall_silent"], *, now: datetime
) -> Changes | None:
    """From an agent into the queue, ahead of those whom nobody has served yet.

    That it was taken before is what `taken_at` says of a conversation that waits.
    """
    if not allows(standing, move):
        return None
    before = {"taken_at": standing["taken_at"]}
    return {**_NOBODYS, **before, "status": "waiting", "waiting_since": now}


def end(
    standing: Standing,
    move: Literal["hand_back", "give_up", "close"],
    *,
    outcome: str,
    event_id: str,
    now: datetime,
) -> Changes | None:
    """From the people to the bot or closed; the dialogue is still to be told of it (`event_id`).

    A conversation that was the bot's all along is closed without a word to the dialogue.
    """
    if not allows(standing, move):
        return None
    changes: Changes = {**_NOBODYS, "status": _MOVES[move][1]}
    if standing["status"] == "bot":
        return changes
    return {**changes, "outcome": outcome, "handed_back_at": now, "hand_back_id": event_id}


def reason_of(standing: Standing) -> str | None:
    """Why a person was asked for, under today's name."""
    reason = standing["handoff_reason"]
    return None if reason is None else _EARLIER_NAMES.get(reason, str(reason))
