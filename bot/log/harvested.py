"""What the log can teach, page by page: people's labels, thumbs, and what the model was sure of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from actions.tables import QaPair
from bot.log import annotations, tables
from bot.log.turn_kinds import FALLBACK_INTENT

# From 1 to 5: a conversation that was rated so, or worse, went wrong somewhere.
POOR_RATING = 2
# The ladder's last step knows words, not meaning; how sure it is says little.
LAST_RESORT = "lexical"
BATCH = 500  # keys in one IN (...)

_annotation = tables.annotation
_conversation = tables.conversation
_feedback = tables.feedback
_turn = tables.turn
_pair = QaPair.__table__

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Turns with what they teach, and where the next page begins; None after the last."""

    rows: list[Row]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The turns after one moment, up to another."""

    after: datetime
    until: datetime


def first_turn(connection: Connection) -> datetime | None:
    """The moment of the oldest turn; None in an empty log."""
    found: datetime | None = connection.execute(select(func.min(_turn.c.created_at))).scalar()
    return found


def next_stretch(connection: Connection, *, whole: Stretch, size: int) -> Stretch | None:
    """The next turns of a longer stretch, about so many; None when there are none.

    Only the index of moments is read, so that what filters a stretch filters few turns at a time.
    """
    here = and_(_turn.c.created_at > whole.after, _turn.c.created_at <= whole.until)
    moments = select(_turn.c.created_at).where(here).order_by(_turn.c.created_at)
    edge = connection.execute(moments.offset(size - 1).limit(1)).scalar()
    if edge is None:
        edge = connection.execute(select(func.max(_turn.c.created_at)).where(here)).scalar()
    return None if edge is None else Stretch(after=whole.after, until=edge)


def labelled(connection: Connection, *, after: str, until: datetime, size: int) -> Page:
    """Turns that people spoke of and what holds of them: `state` and `labels` of `Effective`."""
    ids = list(
        connection.execute(
            select(_annotation.c.turn_id)
            .where(_annotation.c.turn_id > after)
            .distinct()
            .order_by(_annotation.c.turn_id)
            .limit(size)
        ).scalars()
    )
    said = labels_of(connection, ids)
    turns = _turns(connection, [id_ for id_ in ids if id_ in said], until)
    for turn in turns:
        one = said[turn["turn_id"]]
        turn |= {"state": one.state, "labels": one.labels}
    pairs = pair_intents(connection, [pair for one in turns if (pair := confirmed_pair(one))])
    for turn in turns:
        pair = confirmed_pair(turn)
        turn["pair_id"] = pair if pair in pairs else None
    return Page(rows=turns, after=ids[-1] if len(ids) == size else None)


def labels_of(connection: Connection, turn_ids: Sequence[str]) -> dict[str, annotations.Effective]:
    """What holds of turns, by turn; those that nobody speaks of are not among them."""
    found = {}
    for start in range(0, len(turn_ids), BATCH):
        records = annotations.records_of(connection, turn_ids[start : start + BATCH])
        records.sort(key=lambda record: str(record["turn_id"]))
        for turn_id, own in groupby(records, key=lambda record: str(record["turn_id"])):
            one = annotations.effective(own)
            if one is not None:
                found[turn_id] = one
    return found


def confirmed_pair(turn: Mapping[str, Any]) -> str | None:
    """The pair that a reviewer said answers a turn: the one that was given, or another."""
    labels = turn["labels"]
    if labels is None or labels["answer"] not in ("right", "pair"):
        return None
    found: str | None = (
        labels["answer_pair_id"] if labels["answer"] == "pair" else turn["qa_pair_id"]
    )
    return found


def thanked(connection: Connection, *, after: str, until: datetime, size: int) -> Page:
    """Turns whose answer has a thumb up and none down, with the pair that was the answer."""
    ids = list(
        connection.execute(
            select(_feedback.c.turn_id)
            .where(_feedback.c.kind == "thumb", _feedback.c.turn_id > after)
            .group_by(_feedback.c.turn_id)
            .having(func.min(_feedback.c.score) > 0)
            .order_by(_feedback.c.turn_id)
            .limit(size)
        ).scalars()
    )
    turns = _turns(connection, ids, until)
    pairs = pair_intents(connection, [turn["qa_pair_id"] for turn in turns])
    for turn in turns:
        turn["pair_id"] = turn["qa_pair_id"] if turn["qa_pair_id"] in pairs else None
    return Page(rows=turns, after=ids[-1] if len(ids) == size else None)


def confident(connection: Connection, *, stretch: Stretch, at_least: float) -> list[Row]:
    """Turns that the model was sure of and nobody spoke of or was unhappy about."""
    spoken_of = select(_annotation.c.id).where(_annotation.c.turn_id == _turn.c.id).exists()
    unhappy = (
        select(_feedback.c.id)
        .where(
            _feedback.c.conversation_id == _turn.c.conversation_id,
            or_(
                and_(_feedback.c.kind == "thumb", _feedback.c.score < 0),
                and_(_feedback.c.kind == "rating", _feedback.c.score <= POOR_RATING),
            ),
        )
        .exists()
    )
    query = described().where(
        inside(stretch),
        _turn.c.confidence >= at_least,
        _turn.c.intent.is_not(None),
        _turn.c.intent != FALLBACK_INTENT,
        _turn.c.error.is_(None),
        func.coalesce(_turn.c.mode, "") != LAST_RESORT,
        ~_turn.c.text.startswith("/"),
        ~spoken_of,
        ~unhappy,
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def whole_turns(connection: Connection, *, turn_ids: Sequence[str]) -> dict[str, Row]:
    """Turns with all that a row of the data needs, by id; without those that are gone."""
    columns = ("text", "intent", "confidence", "ranking", "emotion", "emotion_confidence")
    rows = connection.execute(
        select(
            _turn.c.id,
            _turn.c.conversation_id,
            _turn.c.qa_pair_id,
            _turn.c.model_version,
            _turn.c.created_at,
            *(_turn.c[name] for name in columns),
        ).where(_turn.c.id.in_(turn_ids))
    )
    return {row["id"]: dict(row) for row in rows.mappings()}


def pair_intents(connection: Connection, ids: Iterable[str | None]) -> dict[str, str]:
    """The intents of those of these pairs that the store still answers with."""
    wanted = sorted({id_ for id_ in ids if id_ is not None})
    found: dict[str, str] = {}
    for start in range(0, len(wanted), BATCH):
        rows = connection.execute(
            select(_pair.c.id, _pair.c.intent).where(
                _pair.c.id.in_(wanted[start : start + BATCH]), _pair.c.active
            )
        )
        found |= {row.id: row.intent for row in rows}
    return found


def described() -> Select[Any]:
    """Turns with what choosing among them needs."""
    return select(
        _turn.c.id.label("turn_id"),
        _turn.c.conversation_id,
        _conversation.c.customer_id,
        _turn.c.text,
        _turn.c.intent,
        _turn.c.qa_pair_id,
        _turn.c.created_at,
    ).join(_conversation, _conversation.c.id == _turn.c.conversation_id)


def inside(stretch: Stretch) -> ColumnElement[bool]:
    """That a turn is in a stretch."""
    return and_(_turn.c.created_at > stretch.after, _turn.c.created_at <= stretch.until)


def _turns(connection: Connection, ids: Sequence[str], until: datetime) -> list[Row]:
    found = []
    for start in range(0, len(ids), BATCH):
        query = described().where(
            _turn.c.id.in_(ids[start : start + BATCH]), _turn.c.created_at <= until
        )
        found += [dict(row) for row in connection.execute(query.order_by(_turn.c.id)).mappings()]
    return found
