"""What reviewers say of turns: records that are added, taken back, and what holds in the end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, groupby
from typing import Any, Literal

from sqlalchemy import Connection, Select, insert, select
from sqlalchemy.orm import aliased

from bot.errors import RequestError
from bot.log import spans, tables

Kind = Literal["label", "reject"]
Answer = Literal["right", "wrong", "pair", "none"]
State = Literal["labelled", "rejected", "disputed"]
Row = dict[str, Any]

ANSWERS = ("right", "wrong", "pair", "none")
REJECT_REASONS = ("spam", "language", "personal_data", "other")
MAX_LABEL = 120

_annotation = tables.annotation
_turn = tables.turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one person says of a turn; a label that is None is not spoken of.

    Who looked and found all right states the model's own labels. `entities` are spans as
    `bot.log.spans.checked` takes them. `settles` ends a dispute.
    """

    turn_id: str
    agent_id: str
    kind: Kind = "label"
    intent: str | None = None
    emotion: str | None = None
    entities: Sequence[Mapping[str, Any]] | None = None
    answer: Answer | None = None
    answer_pair_id: str | None = None
    reject_reason: str | None = None
    settles: bool = False
    reason: str | None = None
    spent_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What holds of a turn: `labels` as an annotation's row; None while disputed."""

    state: State
    labels: Row | None
    authors: int


def add(connection: Connection, *, judgement: Judgement, id_: str, now: datetime) -> Row | None:
    """Keep a judgement for good; its row, or None when the turn is not there (any longer).

    Raises RequestError (422) for labels that cannot be of this turn.
    """
    text = connection.execute(
        select(_turn.c.text).where(_turn.c.id == judgement.turn_id)
    ).scalar_one_or_none()
    if text is None:
        return None
    _check(judgement)
    row: Row = {
        "id": id_,
        "turn_id": judgement.turn_id,
        "agent_id": judgement.agent_id,
        "kind": judgement.kind,
        "settles": judgement.settles,
        "reason": judgement.reason,
        "spent_ms": judgement.spent_ms,
        "created_at": now,
        "revokes": None,
    }
    label = judgement.kind == "label"
    row |= {
        "intent": judgement.intent if label else None,
        "emotion": judgement.emotion if label else None,
        "entities": (
            spans.checked(text, judgement.entities)
            if label and judgement.entities is not None
            else None
        ),
        "answer": judgement.answer if label else None,
        "answer_pair_id": judgement.answer_pair_id if label else None,
        "reject_reason": None if label else judgement.reject_reason,
    }
    connection.execute(insert(_annotation), row)
    return row


def revoke(
    connection: Connection, *, annotation_id: str, agent_id: str, id_: str, now: datetime
) -> Row | None:
    """Take back an own record; what it was, or None when it is no longer to be taken back."""
    row = (
        connection.execute(
            _standing().where(_annotation.c.id == annotation_id, _annotation.c.agent_id == agent_id)
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    connection.execute(
        insert(_annotation),
        {
            "id": id_,
            "turn_id": row["turn_id"],
            "agent_id": agent_id,
            "kind": "revoke",
            "revokes": annotation_id,
            "settles": False,
            "created_at": now,
        },
    )
    return dict(row)


def newest_of(connection: Connection, *, agent_id: str, limit: int = 1) -> list[Row]:
    """Someone's records that stand, newest first."""
    rows = connection.execute(
        _standing()
        .where(_annotation.c.agent_id == agent_id)
        .order_by(_annotation.c.created_at.desc(), _annotation.c.id.desc())
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def records_of(connection: Connection, turn_ids: Sequence[str]) -> list[Row]:
    """All records of some turns, oldest first."""
    rows = connection.execute(
        select(_annotation)
        .where(_annotation.c.turn_id.in_(turn_ids))
        .order_by(_annotation.c.created_at, _annotation.c.id)
    )
    return [dict(row) for row in rows.mappings()]


def effective_of(connection: Connection, turn_id: str) -> Effective | None:
    """What holds of one turn; None when nobody has said anything that stands."""
    return effective(records_of(connection, [turn_id]))


def all_effective(
    connection: Connection, *, conversation_id: str | None = None, since: datetime | None = None
) -> dict[str, Effective]:
    """By turn: what holds of each that has records, of one conversation or of turns `since`."""
    query = select(_annotation)
    if conversation_id is not None or since is not None:
        query = query.join(_turn, _turn.c.id == _annotation.c.turn_id)
    if conversation_id is not None:
        query = query.where(_turn.c.conversation_id == conversation_id)
    if since is not None:
        query = query.where(_turn.c.created_at >= since)
    query = query.order_by(_annotation.c.turn_id, _annotation.c.created_at, _annotation.c.id)
    rows = connection.execute(query, execution_options={"yield_per": 1000}).mappings()
    found = {
        turn_id: effective([dict(row) for row in records])
        for turn_id, records in groupby(rows, key=lambda row: str(row["turn_id"]))
    }
    return {turn_id: one for turn_id, one in found.items() if one is not None}


def standing(records: Iterable[Row]) -> list[Row]:
    """The records that nobody took back, in their order."""
    records = list(records)
    revoked = {record["revokes"] for record in records}
    return [
        record for record in records if record["kind"] != "revoke" and record["id"] not in revoked
    ]


def effective(records: Iterable[Row]) -> Effective | None:
    """What holds after all of a turn's records, oldest first.

    Of each author the newest counts. A settling word ends every dispute; without one, authors who
    contradict each other leave the turn disputed, and authors who do not complete each other.
    """
    left = standing(records)
    if not left:
        return None
    by_author = {record["agent_id"]: record for record in left if not record["settles"]}
    authors = len(by_author)
    settled = [record for record in left if record["settles"]]
    if settled:
        return Effective(state=_state(settled[-1]), labels=settled[-1], authors=authors)
    newest = sorted(by_author.values(), key=lambda record: (record["created_at"], record["id"]))
    if any(contradict(one, other) for one, other in combinations(newest, 2)):
        return Effective(state="disputed", labels=None, authors=authors)
    labels = dict(newest[-1])
    for record in reversed(newest[:-1]):
        for label in ("intent", "emotion", "entities"):
            if labels[label] is None:
                labels[label] = record[label]
        if labels["answer"] is None:
            labels |= {key: record[key] for key in ("answer", "answer_pair_id")}
    return Effective(state=_state(labels), labels=labels, authors=authors)


def contradict(one: Row, other: Row) -> bool:
    """Whether both cannot be right."""
    if one["kind"] != other["kind"]:
        return True
    if one["kind"] == "reject":
        return False
    return any(
        mine is not None and theirs is not None and mine != theirs
        for mine, theirs in zip(compared(one).values(), compared(other).values(), strict=True)
    )


def compared(record: Row) -> dict[str, Any]:
    """Each label kind of a record as a value that can be compared; None: not spoken of."""
    entities = record["entities"]
    answer = record["answer"]
    return {
        "intent": record["intent"],
        "emotion": record["emotion"],
        "entities": None if entities is None else spans.as_set(entities),
        "answer": None if answer is None else (answer, record["answer_pair_id"]),
    }


def _state(record: Row) -> State:
    return "rejected" if record["kind"] == "reject" else "labelled"


def _standing() -> Select[Any]:
    later = aliased(_annotation)
    return select(_annotation).where(
        _annotation.c.kind != "revoke",
        ~select(later.c.id).where(later.c.revokes == _annotation.c.id).exists(),
    )


def _check(judgement: Judgement) -> None:
    for field in ("intent", "emotion", "answer_pair_id"):
        value = getattr(judgement, field)
        if value is not None and not 0 < len(value) <= MAX_LABEL:
            raise RequestError(
                422, field, "the name is empty or too long", f"use up to {MAX_LABEL} characters"
            )
    if judgement.intent == "nlu_fallback":
        raise RequestError(
            422, "intent", "nlu_fallback is no intent of a customer's", "choose what they wanted"
        )
    if judgement.answer is not None and judgement.answer not in ANSWERS:
        raise RequestError(422, "answer", "it is not known", f"use one of {', '.join(ANSWERS)}")
    if (judgement.answer == "pair") != (judgement.answer_pair_id is not None):
        raise RequestError(
            422, "answer_pair_id", "it goes with the answer `pair`", "name the pair that was right"
        )
    if judgement.kind == "reject" and judgement.reject_reason not in REJECT_REASONS:
        raise RequestError(
            422, "reject_reason", "it is not known", f"use one of {', '.join(REJECT_REASONS)}"
        )
    said = (judgement.intent, judgement.emotion, judgement.entities, judgement.answer)
    if judgement.kind == "label" and all(value is None for value in said):
        raise RequestError(422, "intent", "nothing is said of the turn", "choose an intent")
