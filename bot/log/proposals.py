"""Answers that reviewers propose: written, edited, then approved or rejected by another."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, func, insert, select, tuple_, update

from bot.errors import RequestError
from bot.log import tables

Kind = Literal["new", "edit", "wording"]
State = Literal["proposed", "approved", "rejected"]
Row = dict[str, Any]

KINDS = ("new", "edit", "wording")
STATES = ("proposed", "approved", "rejected")
# As of what an import of pairs takes.
MAX_TEXT = 8_000
MAX_NAME = 120

_agent = tables.agent
_author = _agent.alias("author")
_decider = _agent.alias("decider")
_proposal = tables.qa_proposal
_last = _proposal.alias("last")
_turn = tables.turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is proposed: a new pair, an edit of `pair_id`, or `question` as a wording of it."""

    kind: Kind
    question: str
    answer: str
    intent: str = ""
    category: str = ""
    pair_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Approved or rejected, by whom; `revision` is the one that they read."""

    state: Literal["approved", "rejected"]
    agent_id: str
    revision: int
    pair_id: str | None = None
    reject_reason: str | None = None


def propose(
    connection: Connection, *, draft: Draft, author_id: str, id_: str, now: datetime
) -> bool:
    """Keep a proposal; False when its turn is gone. Raises RequestError (422)."""
    values = _checked(draft)
    if draft.turn_id is not None:
        there = connection.execute(select(_turn.c.id).where(_turn.c.id == draft.turn_id))
        if there.one_or_none() is None:
            return False
    connection.execute(
        insert(_proposal),
        {
            **values,
            "id": id_,
            "turn_id": draft.turn_id,
            "kind": draft.kind,
            "pair_id": draft.pair_id,
            "state": "proposed",
            "revision": 1,
            "author_id": author_id,
            "created_at": now,
        },
    )
    return True


def edit(connection: Connection, *, id_: str, revision: int, draft: Draft) -> bool:
    """Change what is proposed; False when it was decided or edited by another meanwhile."""
    done = connection.execute(
        update(_proposal)
        .where(
            _proposal.c.id == id_,
            _proposal.c.state == "proposed",
            _proposal.c.revision == revision,
        )
        .values(**_checked(draft), revision=revision + 1)
    )
    return bool(done.rowcount)


def decide(connection: Connection, *, id_: str, decision: Decision, now: datetime) -> bool:
    """Close a proposal; False when it was decided or edited by another meanwhile."""
    values: dict[str, Any] = {
        "state": decision.state,
        "decided_by": decision.agent_id,
        "decided_at": now,
        "reject_reason": decision.reject_reason,
    }
    if decision.pair_id is not None:
        values["pair_id"] = decision.pair_id
    done = connection.execute(
        update(_proposal)
        .where(
            _proposal.c.id == id_,
            _proposal.c.state == "proposed",
            _proposal.c.revision == decision.revision,
        )
        .values(**values)
    )
    return bool(done.rowcount)


def find(connection: Connection, id_: str) -> Row | None:
    """One proposal with the names of its people and the turn it comes from."""
    row = connection.execute(_listed().where(_proposal.c.id == id_)).mappings().one_or_none()
    return None if row is None else dict(row)


def listed(
    connection: Connection, *, state: State, limit: int = 50, after: str | None = None
) -> list[Row]:
    """Proposals in a state: those to decide oldest first, decided ones newest first.

    `after`: the id of the last one of the page before.
    """
    query = _listed().where(_proposal.c.state == state).limit(limit)
    key = tuple_(_proposal.c.created_at, _proposal.c.id)
    last = select(_last.c.created_at, _last.c.id).where(_last.c.id == after).scalar_subquery()
    if state == "proposed":
        query = query.order_by(_proposal.c.created_at, _proposal.c.id)
        if after is not None:
            query = query.where(key > last)
    else:
        query = query.order_by(_proposal.c.created_at.desc(), _proposal.c.id.desc())
        if after is not None:
            query = query.where(key < last)
    return [dict(row) for row in connection.execute(query).mappings()]


def counts(connection: Connection) -> Mapping[str, int]:
    """How many there are in each state."""
    found = connection.execute(
        select(_proposal.c.state, func.count().label("many")).group_by(_proposal.c.state)
    )
    return dict.fromkeys(STATES, 0) | {row.state: row.many for row in found}


def _listed() -> Select[Any]:
    return (
        select(
            _proposal,
            _author.c.name.label("author_name"),
            _decider.c.name.label("decider_name"),
            _turn.c.text.label("turn_text"),
            _turn.c.conversation_id,
        )
        .outerjoin(_author, _author.c.id == _proposal.c.author_id)
        .outerjoin(_decider, _decider.c.id == _proposal.c.decided_by)
        .outerjoin(_turn, _turn.c.id == _proposal.c.turn_id)
    )


def _checked(draft: Draft) -> dict[str, str]:
    values = {
        name: getattr(draft, name).strip() for name in ("question", "answer", "intent", "category")
    }
    for name, most in (
        ("question", MAX_TEXT),
        ("answer", MAX_TEXT),
        ("intent", MAX_NAME),
        ("category", MAX_NAME),
    ):
        if len(values[name]) > most:
            raise RequestError(422, name, f"it is longer than {most} characters", "write less")
    needed = ("question",) if draft.kind == "wording" else ("question", "answer")
    for name in needed:
        if not values[name]:
            raise RequestError(422, name, "it is empty", f"write the {name}")
    if (draft.kind == "new") != (draft.pair_id is None):
        raise RequestError(
            422, "pair_id", "it goes with edits and wordings", "name the pair that it is about"
        )
    return values
