"""The next turn for a reviewer: leased, so that two do not work on the same one by accident."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables
from bot.log.review_candidates import Terms
from bot.log.review_scores import EMERGING, PROOF, RANDOM

# How long a skipped turn is not shown again to who skipped it.
SKIP_DAYS = 7
# How often each reason is asked for a turn; what it does not have, another gives.
WEIGHTS = {
    # They are few, and a version that may be better waits for them.
    PROOF: 30,
    "low_rating": 2,
    # There are none while nothing is new; and of those that there are most teach something.
    EMERGING: 16,
    "disagreement": 5,
    "label_error": 2,
    "fallback": 3,
    "uncertainty": 3,
    "diversity": 4,
    "spare": 0.2,
}
SECOND = "second"
# How often who may is given a turn that another has labelled.
SECOND_SHARE = 0.25

_candidate = tables.review_candidate
_lease = tables.review_lease

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Who asks for a turn, in which order of reasons, and which turns they hold already."""

    agent_id: str
    order: Sequence[str]
    holding: frozenset[str] = frozenset()


def order_by_lot(chance: random.Random, terms: Terms) -> list[str]:
    """The reasons in the order they are asked: each first as often as its weight says."""
    left = dict(WEIGHTS)
    order = []
    while left:
        reason = chance.choices(list(left), weights=list(left.values()))[0]
        del left[reason]
        order.append(reason)
    order.insert(0 if chance.random() < terms.random_share else len(order), RANDOM)
    order.insert(0 if chance.random() < SECOND_SHARE else len(order), SECOND)
    return order


def take_next(connection: Connection, *, wanted: Wanted, terms: Terms, now: datetime) -> Row | None:
    """The candidate to look at next, leased to who asks; None when there is nothing to do.

    What they had been given and do not hold comes first: a page that was opened anew goes on.
    """
    own = connection.execute(
        select(_candidate)
        .join(_lease, _lease.c.turn_id == _candidate.c.turn_id)
        .where(
            _lease.c.agent_id == wanted.agent_id,
            _lease.c.kind == "work",
            _lease.c.until > now,
            _lease.c.turn_id.not_in(wanted.holding),
        )
        .order_by(_lease.c.until)
        .limit(1)
    )
    row = own.mappings().one_or_none()
    if row is None:
        row = _first_of(connection, wanted, now)
    if row is None:
        return None
    lease(connection, turn_id=row["turn_id"], agent_id=wanted.agent_id, terms=terms, now=now)
    return dict(row)


def lease(
    connection: Connection, *, turn_id: str, agent_id: str, terms: Terms, now: datetime
) -> None:
    """Give a turn to someone for a while, or for a while longer."""
    until = now + timedelta(seconds=terms.lease_s)
    _put(connection, {"turn_id": turn_id, "agent_id": agent_id, "kind": "work", "until": until})


def skip(connection: Connection, *, turn_id: str, agent_id: str, now: datetime) -> None:
    """Not this one, not for this reviewer, for some days."""
    until = now + timedelta(days=SKIP_DAYS)
    _put(connection, {"turn_id": turn_id, "agent_id": agent_id, "kind": "skip", "until": until})


def release(connection: Connection, *, turn_id: str, agent_id: str) -> None:
    """The reviewer is done with it."""
    connection.execute(
        delete(_lease).where(_lease.c.turn_id == turn_id, _lease.c.agent_id == agent_id)
    )


def lost(connection: Connection, *, turn_id: str, agent_id: str, now: datetime) -> str | None:
    """Why a turn that was leased is no longer this reviewer's; None while it is.

    A lease that ran out with nobody else on the turn is still good.
    """
    row = connection.execute(
        select(_candidate.c.state, _candidate.c.first_agent_id).where(
            _candidate.c.turn_id == turn_id
        )
    ).one_or_none()
    if row is None:
        return "gone"
    mine = connection.execute(
        select(_lease.c.until).where(
            _lease.c.turn_id == turn_id,
            _lease.c.agent_id == agent_id,
            _lease.c.kind == "work",
            _lease.c.until > now,
        )
    ).one_or_none()
    if mine is not None:
        return None
    other = connection.execute(
        select(func.count()).where(
            _lease.c.turn_id == turn_id,
            _lease.c.agent_id != agent_id,
            _lease.c.kind == "work",
            _lease.c.until > now,
        )
    ).scalar_one()
    if other:
        return "leased"
    open_to_me = row.state == "first" or (row.state == "second" and row.first_agent_id != agent_id)
    return None if open_to_me else "labelled"


def sweep(connection: Connection, *, now: datetime) -> int:
    """Forget the leases that ran out."""
    return connection.execute(delete(_lease).where(_lease.c.until <= now)).rowcount


def _first_of(connection: Connection, wanted: Wanted, now: datetime) -> Any:
    taken = exists().where(
        _lease.c.turn_id == _candidate.c.turn_id,
        _lease.c.until > now,
        or_(_lease.c.kind == "work", _lease.c.agent_id == wanted.agent_id),
    )
    for reason in wanted.order:
        found = connection.execute(
            select(_candidate)
            .where(_is_for(reason, wanted.agent_id), ~taken)
            .order_by(_candidate.c.score.desc())
            .limit(1)
            # Of two gateways that look at the same moment, each gets another turn.
            .with_for_update(skip_locked=True, of=_candidate)
        )
        row = found.mappings().one_or_none()
        if row is not None:
            return row
    return None


def _is_for(reason: str, agent_id: str) -> ColumnElement[bool]:
    if reason == SECOND:
        return and_(_candidate.c.state == "second", _candidate.c.first_agent_id != agent_id)
    return and_(_candidate.c.state == "first", _candidate.c.reason == reason)


def _put(connection: Connection, row: Row) -> None:
    connection.execute(_PUT[connection.dialect.name], row)


def _replacing(dialect: Any) -> Any:
    new = dialect.insert(_lease)
    return new.on_conflict_do_update(
        index_elements=[_lease.c.turn_id, _lease.c.agent_id],
        set_={"kind": new.excluded.kind, "until": new.excluded.until},
    )


_PUT = {"sqlite": _replacing(sqlite), "postgresql": _replacing(postgresql)}
