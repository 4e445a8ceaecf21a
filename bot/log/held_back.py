"""Turns that the guard keeps out of the training data until somebody has decided on them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, delete, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables

Decision = Literal["approved", "rejected"]
Row = dict[str, Any]

REASONS = ("trigger", "label_error", "influence", "class_shift", "protected")
STATES = ("open", "approved", "rejected")
_BATCH = 500  # rows in one statement

_held = tables.held_back
_last = _held.alias("last")
_turn = tables.turn
_agent = tables.agent


class Finding(Protocol):
    """What the guard found of one turn (`bot.learning.guard.held.Held`)."""

    @property
    def turn_id(self) -> str:
        """Of the turn."""

    @property
    def reason(self) -> str:
        """The strongest one."""

    @property
    def detail(self) -> Mapping[str, Any]:
        """What a person needs to judge it."""

    @property
    def intent(self) -> str | None:
        """The label that it would have taught."""

    @property
    def source(self) -> str:
        """Where the label comes from."""

    @property
    def author(self) -> str | None:
        """Whose word it is."""


def keep(
    connection: Connection, *, held: Sequence[Finding], run_id: str | None, now: datetime
) -> int:
    """Keep what a run holds back; how many rows are open by it.

    What is open already is brought up to date and keeps its age; what was decided stays decided. A
    turn that is gone by now (its customer was erased) is left out.
    """
    return sum(
        _keep_some(connection, held[start : start + _BATCH], run_id=run_id, now=now)
        for start in range(0, len(held), _BATCH)
    )


def judge_anew(connection: Connection, *, turn_id: str) -> bool:
    """Forget what was decided on a turn: somebody has said something else of it since."""
    done = connection.execute(
        delete(_held).where(_held.c.turn_id == turn_id, _held.c.state != "open")
    )
    return bool(done.rowcount)


def open_ones(
    connection: Connection, *, reason: str | None = None, limit: int = 50, after: str | None = None
) -> list[Row]:
    """What waits for a decision with its turn's text, oldest first.

    `reason`: of one kind alone. `after`: the turn of the last one of the page before.
    """
    query = (
        select(
            _held,
            _turn.c.text,
            _turn.c.conversation_id,
            _turn.c.intent.label("predicted"),
            _turn.c.confidence,
            _agent.c.name.label("author_name"),
        )
        .join(_turn, _turn.c.id == _held.c.turn_id)
        .outerjoin(_agent, _agent.c.id == _held.c.author)
        .where(_held.c.state == "open")
        .order_by(_held.c.created_at, _held.c.turn_id)
        .limit(limit)
    )
    if reason is not None:
        query = query.where(_held.c.reason == reason)
    if after is not None:
        last = select(_last.c.created_at, _last.c.turn_id).where(_last.c.turn_id == after)
        query = query.where(tuple_(_held.c.created_at, _held.c.turn_id) > last.scalar_subquery())
    return [dict(row) for row in connection.execute(query).mappings()]


def decide(
    connection: Connection, *, turn_id: str, decision: Decision, by: str, now: datetime
) -> bool:
    """Approve or reject one that is open; False when there is none, or `by` is its author.

    Nobody approves their own label: a second person looks at it.
    """
    done = connection.execute(
        update(_held)
        .where(
            _held.c.turn_id == turn_id,
            _held.c.state == "open",
            func.coalesce(_held.c.author, "") != by,
        )
        .values(state=decision, decided_by=by, decided_at=now)
    )
    return bool(done.rowcount)


def decisions(connection: Connection) -> dict[str, Decision]:
    """By turn: what was decided, for the guard's next run."""
    rows = connection.execute(
        select(_held.c.turn_id, _held.c.state).where(_held.c.state != "open"),
        execution_options={"yield_per": 1000},
    )
    return {row.turn_id: row.state for row in rows}


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """How many there are, by reason and state; each of both is named."""
    found = {reason: dict.fromkeys(STATES, 0) for reason in REASONS}
    rows = connection.execute(
        select(_held.c.reason, _held.c.state, func.count().label("many")).group_by(
            _held.c.reason, _held.c.state
        )
    )
    for row in rows:
        found[row.reason][row.state] = row.many
    return found


def _keep_some(
    connection: Connection, some: Sequence[Finding], *, run_id: str | None, now: datetime
) -> int:
    ids = [one.turn_id for one in some]
    # Locked where rows can be: an erasure of the turn waits for this, or comes before it.
    there = connection.execute(
        select(_turn.c.id).where(_turn.c.id.in_(ids)).with_for_update(read=True)
    )
    alive = set(there.scalars())
    rows = [
        {
            "turn_id": one.turn_id,
            "reason": one.reason,
            "detail": dict(one.detail),
            "intent": one.intent,
            "source": one.source,
            "author": one.author,
            "run_id": run_id,
            "state": "open",
            "created_at": now,
        }
        for one in some
        if one.turn_id in alive
    ]
    if not rows:
        return 0
    new = _INSERT[connection.dialect.name](_held).values(rows)
    changed = connection.execute(
        new.on_conflict_do_update(
            index_elements=[_held.c.turn_id],
            set_={
                name: new.excluded[name]
                for name in ("reason", "detail", "intent", "source", "author", "run_id")
            },
            where=_held.c.state == "open",
        ).returning(_held.c.turn_id)
    )
    return len(changed.all())


_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
