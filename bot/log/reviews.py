"""One reviewer's work: a judgement given, taken back, and how much was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from bot.errors import RequestError
from bot.log import annotations, held_back, inbox, review_candidates, review_queue, tables
from bot.log.annotations import Judgement, Row
from bot.log.review_candidates import Terms
from bot.log.review_scores import RANDOM, REASONS

_agent = tables.agent
_annotation = tables.annotation
_candidate = tables.review_candidate
_conversation = tables.conversation
_turn = tables.turn

# Longer than this nobody looks at one turn: the reviewer was away.
MAX_SPENT_MS = 5 * 60_000
_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """A record that was added or revoked, and the state of its turn then."""

    record: Row
    state: str
    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What someone did since a moment, with the minutes that it took."""

    count: int
    minutes: float


def record(
    connection: Connection, *, judgement: Judgement, queued: bool, id_: str, now: datetime
) -> Reviewed:
    """Keep a judgement and bring the queue up to date.

    `queued`: the turn came from the queue, and must still be this reviewer's. Raises RequestError:
    404 for a turn that is gone, 409 for a lost lease, 422 for labels that do not fit.
    """
    turn_id, agent_id = judgement.turn_id, judgement.agent_id
    if queued and not judgement.settles:
        why = review_queue.lost(connection, turn_id=turn_id, agent_id=agent_id, now=now)
        if why in ("leased", "labelled"):
            raise RequestError(
                409,
                "turn",
                "your time for it was over and another reviewer has this turn",
                "nothing was kept; go on with the next turn",
            )
    row = annotations.add(connection, judgement=judgement, id_=id_, now=now)
    if row is None:
        raise unknown_turn()
    review_queue.release(connection, turn_id=turn_id, agent_id=agent_id)
    return _reviewed(connection, row)


def undo(
    connection: Connection, *, annotation_id: str | None, agent_id: str, id_: str, now: datetime
) -> Reviewed:
    """Take back an own record, or the newest; raises RequestError (409) when there is none."""
    if annotation_id is None:
        newest = annotations.newest_of(connection, agent_id=agent_id)
        annotation_id = newest[0]["id"] if newest else ""
    row = annotations.revoke(
        connection, annotation_id=annotation_id, agent_id=agent_id, id_=id_, now=now
    )
    if row is None:
        raise RequestError(
            409, "annotation", "there is nothing of yours to take back", "reload the page"
        )
    return _reviewed(connection, row)


def retake(connection: Connection, *, reviewed: Reviewed, terms: Terms, now: datetime) -> None:
    """After an undo the turn is the reviewer's again, to be labelled anew."""
    record_ = reviewed.record
    review_queue.lease(
        connection,
        turn_id=record_["turn_id"],
        agent_id=record_["agent_id"],
        terms=terms,
        now=now,
    )


def progress(connection: Connection, *, agent_id: str, since: datetime) -> Progress:
    """What someone did since a moment; what was taken back does not count."""
    revoked = select(_annotation.c.revokes).where(
        _annotation.c.kind == "revoke",
        _annotation.c.agent_id == agent_id,
        _annotation.c.created_at >= since,
    )
    row = connection.execute(
        select(func.count().label("many"), func.sum(_annotation.c.spent_ms).label("spent")).where(
            _annotation.c.agent_id == agent_id,
            _annotation.c.created_at >= since,
            _annotation.c.kind != "revoke",
            _annotation.c.id.not_in(revoked),
        )
    ).one()
    return Progress(count=row.many, minutes=round(float(row.spent or 0) / 60_000, 1))


def waiting(connection: Connection) -> dict[str, int]:
    """How many turns wait for a first look by reason, and how many else; each up to 500."""
    found = {}
    for reason in (*REASONS, RANDOM):
        found[reason] = _some(
            connection, _candidate.c.state == "first", _candidate.c.reason == reason
        )
    for state in ("second", "disputed"):
        found[state] = _some(connection, _candidate.c.state == state)
    return found


def disputed(connection: Connection, *, limit: int = 50) -> list[Row]:
    """The turns on which people contradict each other, with what each says, oldest first."""
    rows = connection.execute(
        select(_turn, _candidate.c.reason)
        .join(_candidate, _candidate.c.turn_id == _turn.c.id)
        .where(_candidate.c.state == "disputed")
        .order_by(_candidate.c.created_at)
        .limit(limit)
    )
    turns = [dict(row) for row in rows.mappings()]
    said = said_of(connection, [turn["id"] for turn in turns])
    return [turn | {"said": said.get(turn["id"], [])} for turn in turns]


def said_of(connection: Connection, turn_ids: Sequence[str]) -> dict[str, list[Row]]:
    """By turn: the newest record of each author that stands, with the author's name."""
    names = names_of(connection)
    found: dict[str, dict[Any, Row]] = {}
    for row in annotations.standing(annotations.records_of(connection, turn_ids)):
        row["agent_name"] = names.get(row["agent_id"])
        found.setdefault(row["turn_id"], {})[row["agent_id"], row["settles"]] = row
    return {turn_id: list(rows.values()) for turn_id, rows in found.items()}


def names_of(connection: Connection) -> Mapping[str | None, str]:
    """The names of all who work or worked here, by id."""
    return {row.id: row.name for row in connection.execute(select(_agent.c.id, _agent.c.name))}


def history(
    connection: Connection, *, agent_id: str, before: str | None = None, limit: int = 50
) -> list[Row]:
    """Someone's records that stand, newest first, with the turns' texts and what the model said."""
    later = _annotation.alias()
    query = (
        select(
            _annotation,
            _turn.c.text,
            _turn.c.conversation_id,
            _turn.c.intent.label("model_intent"),
            _turn.c.emotion.label("model_emotion"),
        )
        .join(_turn, _turn.c.id == _annotation.c.turn_id)
        .where(
            _annotation.c.agent_id == agent_id,
            _annotation.c.kind != "revoke",
            ~select(later.c.id).where(later.c.revokes == _annotation.c.id).exists(),
        )
        .order_by(_annotation.c.created_at.desc(), _annotation.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        last = _annotation.alias()
        place = select(last.c.created_at, last.c.id).where(last.c.id == before).scalar_subquery()
        query = query.where(tuple_(_annotation.c.created_at, _annotation.c.id) < place)
    return [dict(row) for row in connection.execute(query).mappings()]


def unknown_turn() -> RequestError:
    """There is no such turn, or no longer."""
    return RequestError(
        404, "turn", "there is no such turn; it may have been erased", "go on with the next turn"
    )


def _reviewed(connection: Connection, row: Row) -> Reviewed:
    state = review_candidates.settle(connection, row["turn_id"])
    conversation_id = connection.execute(
        select(_turn.c.conversation_id).where(_turn.c.id == row["turn_id"])
    ).scalar_one()
    inbox.refresh(connection, conversation_id)
    held_back.judge_anew(connection, turn_id=row["turn_id"])
    return Reviewed(record=row, state=state or "done", conversation_id=conversation_id)


def _some(connection: Connection, *conditions: Any) -> int:
    some = select(_candidate.c.turn_id).where(*conditions).limit(_MOST)
    return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()
