"""The handoff in the log: one conversation moved on, the queue in its order, what is overdue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, update

from bot.log import audit, handoffs, store, tables
from bot.log.records import Reply, Speech

MOST_WAITING = 1000

_conversation = tables.conversation
_message = tables.message
_agent = tables.agent

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The audit row that a move leaves."""

    id: str
    actor: str
    action: str
    detail: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A move: the columns that change (None: not possible now), what is said, what is audited."""

    conversation_id: str
    decide: Callable[[Connection, Row], Mapping[str, Any] | None]
    say: Callable[[Connection, Row], Sequence[Reply]] = lambda connection, row: ()
    trace: Trace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The conversation after a step; `done` is False where it was not possible."""

    done: bool
    row: Row


def move(
    connection: Connection, *, step: Step, sending: frozenset[str], now: datetime
) -> Moved | None:
    """Do a step under the row's lock, so that of two at once one finds the other's result.

    None when there is no such conversation.
    """
    row = _locked(connection, step.conversation_id)
    if row is None:
        return None
    changes = step.decide(connection, row)
    if changes is None:
        return Moved(done=False, row=row)
    if changes:
        connection.execute(
            update(_conversation)
            .where(_conversation.c.id == step.conversation_id)
            .values(**changes, updated_at=now)
        )
    before, row = row["status"], {**row, **changes}
    if before in ("bot", "closed") and row["status"] in ("waiting", "agent"):
        handoffs.begin(
            connection,
            conversation_id=step.conversation_id,
            reason=handoffs.TAKEN if row["status"] == "agent" else row["handoff_reason"],
            now=now,
        )
    if replies := list(step.say(connection, row)):
        speech = Speech(conversation_id=step.conversation_id, replies=replies)
        store.say(connection, speech=speech, sending=sending, now=now)
    if step.trace is not None:
        trace = step.trace
        who = (trace.actor, trace.action, step.conversation_id)
        audit.note(connection, id_=trace.id, who=who, detail=trace.detail, now=now)
    return Moved(done=True, row=row)


def speak(
    connection: Connection,
    *,
    speech: Speech,
    agent_id: str,
    sending: frozenset[str],
    now: datetime,
) -> tuple[Row, list[Row]] | None:
    """An agent's message in a conversation the agent holds: (conversation, message rows).

    No rows when the agent does not hold it; the same message again gives the row it had. None when
    there is no such conversation.
    """
    row = _locked(connection, speech.conversation_id)
    if row is None:
        return None
    ids = [reply.id for reply in speech.replies]
    earlier = connection.execute(select(_message).where(_message.c.id.in_(ids))).mappings()
    if said := [dict(one) for one in earlier]:
        return row, said
    if row["status"] != "agent" or row["agent_id"] != agent_id:
        return row, []
    return row, store.say(connection, speech=speech, sending=sending, now=now) or []


def settle_hand_back(connection: Connection, *, conversation_id: str, event_id: str) -> bool:
    """The dialogue knows of this hand-back; False when another came after it."""
    settled = connection.execute(
        update(_conversation)
        .where(_conversation.c.id == conversation_id, _conversation.c.hand_back_id == event_id)
        .values(hand_back_id=None)
    )
    return bool(settled.rowcount)


def position(connection: Connection, *, row: Mapping[str, Any], upset_first: bool) -> int:
    """The place of a waiting conversation in the queue, from 1."""
    place = rank(upset_first)
    own_rank = _rank_of(row, upset_first)
    waiting, id_ = _conversation.c.waiting_since, _conversation.c.id
    ahead = or_(
        place < own_rank,
        and_(
            place == own_rank,
            or_(
                waiting < row["waiting_since"],
                and_(waiting == row["waiting_since"], id_ < row["id"]),
            ),
        ),
    )
    counted = connection.execute(
        select(func.count())
        .select_from(_conversation)
        .where(_conversation.c.status == "waiting", id_ != row["id"], ahead)
    )
    return int(counted.scalar_one()) + 1


def queue(connection: Connection, *, upset_first: bool) -> list[Row]:
    """The conversations that wait, first comes first served within each rank."""
    rows = connection.execute(
        select(_conversation)
        .where(_conversation.c.status == "waiting")
        .order_by(rank(upset_first), _conversation.c.waiting_since, _conversation.c.id)
        .limit(MOST_WAITING)
    )
    return [dict(row) for row in rows.mappings()]


def unanswered_by_agent(
    connection: Connection, *, conversation_id: str | None = None
) -> list[tuple[Row, datetime]]:
    """Conversations with an agent in which the customer's words wait for one, and since when."""
    answer = _message.alias("answer")
    last_answer = (
        select(func.coalesce(func.max(answer.c.seq), 0))
        .where(answer.c.conversation_id == _conversation.c.id, answer.c.author == "agent")
        .correlate(_conversation)
        .scalar_subquery()
    )
    oldest = (
        select(func.min(_message.c.created_at))
        .where(
            _message.c.conversation_id == _conversation.c.id,
            _message.c.author == "customer",
            _message.c.seq > last_answer,
        )
        .correlate(_conversation)
        .scalar_subquery()
    )
    query = select(_conversation, oldest.label("oldest")).where(
        _conversation.c.status == "agent",
        # Here, not below: those that were long forgotten would fill the limit.
        oldest.is_not(None),
    )
    if conversation_id is not None:
        query = query.where(_conversation.c.id == conversation_id)
    found = []
    for one in connection.execute(query.limit(MOST_WAITING)).mappings():
        row = dict(one)
        since = row.pop("oldest")
        found.append((row, max(since, row["taken_at"] or since)))
    return found


def left_by_agent(connection: Connection, *, conversation_id: str | None = None) -> list[Row]:
    """Conversations whose agent has no access any more: nobody would answer there."""
    query = (
        select(_conversation)
        .join(_agent, _agent.c.id == _conversation.c.agent_id)
        .where(_conversation.c.status == "agent", _agent.c.disabled_at.is_not(None))
    )
    if conversation_id is not None:
        query = query.where(_conversation.c.id == conversation_id)
    return [dict(row) for row in connection.execute(query.limit(MOST_WAITING)).mappings()]


def agent_name(connection: Connection, agent_id: str | None) -> str | None:
    """An agent's name by id."""
    found = connection.execute(select(_agent.c.name).where(_agent.c.id == agent_id))
    return found.scalar_one_or_none()


def _locked(connection: Connection, conversation_id: str) -> Row | None:
    # SQLite has no row locks and needs none: its writers are one after the other as a whole.
    found = connection.execute(
        select(_conversation).where(_conversation.c.id == conversation_id).with_for_update()
    ).mappings()
    row = found.one_or_none()
    return None if row is None else dict(row)


def rank(upset_first: bool) -> ColumnElement[int]:
    """Who was served before and lost the agent comes first, then (if so set) who is upset."""
    ranks: list[tuple[ColumnElement[bool], int]] = [(_conversation.c.taken_at.is_not(None), 0)]
    if upset_first:
        ranks.append((_conversation.c.handoff_reason == "emotion", 1))
    return case(*ranks, else_=2)


def _rank_of(row: Mapping[str, Any], upset_first: bool) -> int:
    if row["taken_at"] is not None:
        return 0
    return 1 if upset_first and row["handoff_reason"] == "emotion" else 2
