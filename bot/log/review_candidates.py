"""The turns that are worth a look: kept once, few of a customer's, one of near-duplicates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import annotations, tables
from bot.log.review_scores import (
    OPENED,
    RANDOM,
    RANDOM_SHARE,
    is_reviewable,
    lot,
    primary,
    text_key,
)
from bot.log.said_turns import WRITER

CUSTOMER_DAYS = 7
# For a turn that waits without a reason any longer: who has it before them is to finish it.
_LEFT = {"spare": 0.05}
_ABOUT_THE_TURN = ("low_rating", "disagreement")

_candidate = tables.review_candidate
_conversation = tables.conversation
_turn = tables.turn

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the queue is to be: from the settings."""

    # Of one customer within a week.
    per_customer: int = 5
    # The share of turns that two people label.
    double_share: float = 0.1
    # The share of what is shown that was drawn by lot.
    random_share: float = 0.1
    lease_s: float = 300.0


def described_turns() -> Select[Any]:
    """The turns with what ranking them needs."""
    return select(
        _turn.c.id,
        _turn.c.conversation_id,
        _turn.c.text,
        _turn.c.intent,
        _turn.c.confidence,
        _turn.c.ranking,
        _turn.c.actions,
        _turn.c.qa_pair_id,
        _turn.c.replies,
        _turn.c.created_at,
        WRITER.label("customer_key"),
    ).join(_conversation, _conversation.c.id == _turn.c.conversation_id)


def is_drawn(turn_id: str) -> bool:
    """Whether a turn is of the baseline."""
    return lot(turn_id, RANDOM) < RANDOM_SHARE


def proposed(turn: Mapping[str, Any], reasons: Mapping[str, float], terms: Terms) -> Row | None:
    """The row of a turn that these reasons speak for; None for what cannot be labelled."""
    if not is_reviewable(turn["text"]):
        return None
    drawn = is_drawn(turn["id"])
    reasons = dict(reasons)
    if drawn:
        reasons[RANDOM] = round(1 - lot(turn["id"], RANDOM) / RANDOM_SHARE, 4)
    reason, score = primary(reasons, drawn=drawn)
    return {
        "turn_id": turn["id"],
        "state": "first",
        "reason": reason,
        "score": score,
        "reasons": reasons,
        "wanted": 2 if lot(turn["id"], "double") < terms.double_share else 1,
        "first_agent_id": None,
        "text_key": text_key(turn["text"]),
        "customer_key": turn["customer_key"],
        "intent": turn["intent"],
        "created_at": turn["created_at"],
    }


def keep(connection: Connection, rows: Sequence[Row], terms: Terms) -> int:
    """Add candidates, or what speaks for those that are there; returns how many are new.

    A near-duplicate of one that is there, and more than a customer's share, are left out.
    """
    if not rows:
        return 0
    rows = list({row["turn_id"]: row for row in rows}.values())
    there = _existing(connection, [row["turn_id"] for row in rows])
    for row in rows:
        if row["turn_id"] in there:
            _strengthen(connection, there[row["turn_id"]], row["reasons"])
    new = [row for row in rows if row["turn_id"] not in there]
    seen = _states_by_text(connection, [row["text_key"] for row in new])
    shares = _shares(connection, new)
    kept = []
    for row in new:
        states = seen.setdefault(row["text_key"], set())
        # What a customer or an agent did about this very turn speaks for it, not for its double.
        takes_over = row["reason"] in _ABOUT_THE_TURN and states <= {"first", "duplicate"}
        if (states and not takes_over) or shares[row["customer_key"]] >= terms.per_customer:
            continue
        if states:
            _hide_double(connection, row["text_key"])
        states.add("first")
        shares[row["customer_key"]] += 1
        connection.execute(_ADD[connection.dialect.name], row)
        kept.append(row)
    return len(kept)


def give_reason(
    connection: Connection, *, reason: str, scores: Mapping[str, float], terms: Terms
) -> int:
    """Have a reason speak for these turns, and for no others that wait; how many are new.

    What stands first in `scores` stays where a customer has too many of them.
    """
    before = connection.execute(
        select(_candidate).where(
            _candidate.c.state == "first", _candidate.c.reasons[reason].as_float().is_not(None)
        )
    ).mappings()
    for row in before.all():
        reasons = {name: score for name, score in row["reasons"].items() if name != reason}
        if row["turn_id"] in scores:
            reasons[reason] = scores[row["turn_id"]]
        reasons = reasons or dict(_LEFT)
        first, score = primary(reasons, drawn=RANDOM in reasons)
        connection.execute(
            update(_candidate)
            .where(_candidate.c.turn_id == row["turn_id"])
            .values(reasons=reasons, reason=first, score=score)
        )
    found = connection.execute(described_turns().where(_turn.c.id.in_(scores))).mappings()
    turns = {turn["id"]: dict(turn) for turn in found}
    rows = [
        proposed(turns[turn_id], {reason: score}, terms)
        for turn_id, score in scores.items()
        if turn_id in turns
    ]
    return keep(connection, [row for row in rows if row is not None], terms)


def settle(connection: Connection, turn_id: str) -> str | None:
    """Bring a candidate's state to what its turn's records say; the state it has then.

    A turn that was labelled without being a candidate becomes one. None when the turn is gone.
    """
    row = _of_turn(connection, turn_id)
    if row is None:
        return None
    records = annotations.standing(annotations.records_of(connection, [turn_id]))
    found = annotations.effective(records)
    state, first = "first", None
    if found is not None:
        newest = [record["agent_id"] for record in records if not record["settles"]]
        if found.state == "disputed":
            state = "disputed"
        elif found.authors < row["wanted"] and not found.labels["settles"]:  # type: ignore[index]
            state, first = "second", newest[-1]
        else:
            state = "done"
    connection.execute(
        update(_candidate)
        .where(_candidate.c.turn_id == turn_id)
        .values(state=state, first_agent_id=first)
    )
    _settle_duplicates(connection, turn_id, row["text_key"], hide=state != "first")
    return state


def want_another(connection: Connection, turn_id: str, reason: str, score: float) -> bool:
    """Have one more person label a turn that one has; whether that is new."""
    row = _existing(connection, [turn_id]).get(turn_id)
    if row is None or reason in row["reasons"]:
        return False
    reasons = {**row["reasons"], reason: round(score, 4)}
    connection.execute(
        update(_candidate)
        .where(_candidate.c.turn_id == turn_id)
        .values(wanted=2, reasons=reasons, reason=reason, score=round(score, 4))
    )
    return settle(connection, turn_id) == "second"


def count_open(connection: Connection) -> int:
    """How many candidates wait for a first look, counted up to 1000."""
    some = select(_candidate.c.turn_id).where(_candidate.c.state == "first").limit(1000)
    return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()


def _of_turn(connection: Connection, turn_id: str) -> Row | None:
    there = _existing(connection, [turn_id]).get(turn_id)
    if there is not None:
        return there
    turn = connection.execute(described_turns().where(_turn.c.id == turn_id)).mappings()
    found = turn.one_or_none()
    if found is None:
        return None
    row: Row = {
        "turn_id": turn_id,
        "state": "first",
        "reason": OPENED,
        "score": 0.0,
        "reasons": {},
        "wanted": 1,
        "first_agent_id": None,
        "text_key": text_key(found["text"]),
        "customer_key": found["customer_key"],
        "intent": found["intent"],
        "created_at": found["created_at"],
    }
    connection.execute(_ADD[connection.dialect.name], row)
    return row


def _strengthen(connection: Connection, row: Row, reasons: Mapping[str, float]) -> None:
    merged = {**reasons, **row["reasons"]}
    for name, score in reasons.items():
        merged[name] = max(score, merged[name])
    if merged == row["reasons"]:
        return
    reason, score = primary(merged, drawn=RANDOM in merged)
    connection.execute(
        update(_candidate)
        .where(_candidate.c.turn_id == row["turn_id"])
        .values(reasons=merged, reason=reason, score=score)
    )


def _settle_duplicates(connection: Connection, turn_id: str, key: str, *, hide: bool) -> None:
    """What reads the same is not shown once one of them was labelled, and is again if not."""
    connection.execute(
        update(_candidate)
        .where(
            _candidate.c.text_key == key,
            _candidate.c.turn_id != turn_id,
            _candidate.c.state == ("first" if hide else "duplicate"),
        )
        .values(state="duplicate" if hide else "first")
    )


def _existing(connection: Connection, turn_ids: Sequence[str]) -> dict[str, Row]:
    rows = connection.execute(
        select(_candidate).where(_candidate.c.turn_id.in_(turn_ids))
    ).mappings()
    return {row["turn_id"]: dict(row) for row in rows}


def _states_by_text(connection: Connection, keys: Sequence[str]) -> dict[str, set[str]]:
    found = connection.execute(
        select(_candidate.c.text_key, _candidate.c.state)
        .where(_candidate.c.text_key.in_(keys))
        .distinct()
    )
    states: dict[str, set[str]] = {}
    for key, state in found:
        states.setdefault(key, set()).add(state)
    return states


def _hide_double(connection: Connection, key: str) -> None:
    connection.execute(
        update(_candidate)
        .where(_candidate.c.text_key == key, _candidate.c.state == "first")
        .values(state="duplicate")
    )


def _shares(connection: Connection, rows: Sequence[Row]) -> Counter[str]:
    if not rows:
        return Counter()
    since: datetime = min(row["created_at"] for row in rows) - timedelta(days=CUSTOMER_DAYS)
    customers = {row["customer_key"] for row in rows}
    found = connection.execute(
        select(_candidate.c.customer_key, func.count().label("share"))
        .where(_candidate.c.customer_key.in_(customers), _candidate.c.created_at >= since)
        .group_by(_candidate.c.customer_key)
    )
    return Counter({row.customer_key: row.share for row in found})


_ADD = {
    name: dialect.insert(_candidate).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
