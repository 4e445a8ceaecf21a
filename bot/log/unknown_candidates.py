"""Reads what came up of late or was not surely understood, to be grouped; and what is known."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from bot.log import tables
from bot.log.review_emerging import MOST
from bot.log.review_scores import EMERGING, FALLBACK, is_reviewable, probabilities
from bot.log.said_turns import Sieve, confidence_of, said_turns

_BATCH = 500  # keys in one IN (...)

_annotation = tables.annotation
_cluster = tables.unknown_cluster
_member = tables.unknown_member
_review = tables.review_candidate
_turn = tables.turn
_vector = tables.review_vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which turns are looked at: since when, below which confidences, how many of whom."""

    since: datetime
    not_understood: float  # below this they come first
    below: float
    most: int
    per_customer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A turn that may be of a topic nobody has named.

    `confidence` of what it was taken for, `probabilities` of all that it was; `emerging`: how
    surely its topic came up of late, to 1.
    """

    turn_id: str
    text: str
    confidence: float
    probabilities: Mapping[str, float]
    emerging: float = 0.0


def candidates(connection: Connection, *, wanted: Wanted) -> list[Candidate]:
    """What came up of late or the model was unsure of, and nobody has spoken of, newest first.

    What came up of late is before what was not understood at all, and that before the rest. Of
    texts that read the same there is one, of a customer so many; what people have named or
    dismissed already does not come again.
    """
    emerging = _emerging(connection)
    of_late = _turn.c.id.in_(emerging)
    fell_back = or_(_turn.c.intent == FALLBACK, _turn.c.confidence < wanted.not_understood)
    unsure = and_(~fell_back, _turn.c.confidence < wanted.below)
    found: list[Candidate] = []
    sieve = Sieve(wanted.per_customer)
    for which in (of_late, fell_back, unsure):
        rows = connection.execute(
            _of_nobody(wanted.since).where(which), execution_options={"yield_per": 1000}
        )
        for row in rows:
            if len(found) >= wanted.most:
                break
            if not sieve.passes(row):
                continue
            found.append(
                Candidate(
                    turn_id=row.id,
                    text=row.text,
                    confidence=confidence_of(row),
                    probabilities=probabilities(row.ranking),
                    emerging=emerging.get(row.id, 0.0),
                )
            )
        rows.close()
    return found


def known_examples(
    connection: Connection,
    *,
    since: datetime,
    sure: float,
    of_each: int,
    most: int,
    without: Collection[str] = (),
) -> list[tuple[str, str]]:
    """(turn, text) of what is known: of each intent the newest turns that are surely of it.

    Labelled by a person, or taken for it with at least so much confidence. Of the newest `most`
    turns of either kind, at most `of_each` an intent; of the intents `without` none is labelled.
    """
    labelled = (
        select(_turn.c.id, _turn.c.text, _annotation.c.intent)
        .join(_annotation, _annotation.c.turn_id == _turn.c.id)
        .where(
            _annotation.c.kind == "label",
            _annotation.c.intent.is_not(None),
            _annotation.c.intent.not_in(without),
            _stands(_annotation),
        )
        .order_by(_annotation.c.created_at.desc(), _annotation.c.id.desc())
        .limit(most)
    )
    confident = (
        select(_turn.c.id, _turn.c.text, _turn.c.intent)
        .where(_turn.c.created_at >= since, _turn.c.intent != FALLBACK, _turn.c.confidence >= sure)
        .order_by(_turn.c.created_at.desc(), _turn.c.id.desc())
        .limit(most)
    )
    found: dict[str, str] = {}
    for query in (labelled, confident):
        counts: Counter[str] = Counter()
        for row in connection.execute(query):
            if counts[row.intent] < of_each and row.id not in found and is_reviewable(row.text):
                counts[row.intent] += 1
                found[row.id] = row.text
    return list(found.items())


def dismissed_turns(connection: Connection, *, since: datetime, most: int) -> list[tuple[str, str]]:
    """(turn, text) of groups that people dismissed since then, the last ones first."""
    rows = connection.execute(
        select(_turn.c.id, _turn.c.text)
        .join(_member, _member.c.turn_id == _turn.c.id)
        .join(_cluster, _cluster.c.id == _member.c.cluster_id)
        .where(_cluster.c.state == "dismissed", _cluster.c.decided_at >= since)
        .order_by(_cluster.c.decided_at.desc(), _turn.c.id)
        .limit(most)
    )
    return [(row.id, row.text) for row in rows]


def _emerging(connection: Connection) -> dict[str, float]:
    """The open turns of topics that came up of late, by the ranking of the review queue."""
    score = _review.c.reasons[EMERGING].as_float()
    rows = connection.execute(
        select(_review.c.turn_id, score.label("score"))
        .where(_review.c.state == "first", score.is_not(None))
        .order_by(score.desc())
        .limit(MOST)
    )
    return {row.turn_id: float(row.score) for row in rows}


def _of_nobody(since: datetime) -> Select[Any]:
    """Turns that nobody has labelled, named or dismissed, the newest first."""
    spoken_of = (
        select(_annotation.c.id)
        .where(
            _annotation.c.turn_id == _turn.c.id,
            _annotation.c.kind != "revoke",
            _stands(_annotation),
        )
        .exists()
    )
    decided = (
        select(_member.c.turn_id)
        .join(_cluster, _cluster.c.id == _member.c.cluster_id)
        .where(_member.c.turn_id == _turn.c.id, _cluster.c.state != "open")
        .exists()
    )
    return (
        said_turns()
        .add_columns(_turn.c.ranking)
        .where(_turn.c.created_at >= since, ~spoken_of, ~decided)
        .order_by(_turn.c.created_at.desc(), _turn.c.id.desc())
    )


def _stands(annotation: Any) -> ColumnElement[bool]:
    """Whether nobody has taken a record back."""
    later = _annotation.alias()
    return ~select(later.c.id).where(later.c.revokes == annotation.c.id).exists()


def kept_vectors(
    connection: Connection, *, turn_ids: Sequence[str], embedder: str
) -> dict[str, bytes]:
    """The vectors of one embedder (float32, little-endian) that there are, by turn."""
    found: dict[str, bytes] = {}
    for batch in (turn_ids[start : start + _BATCH] for start in range(0, len(turn_ids), _BATCH)):
        rows = connection.execute(
            select(_vector.c.turn_id, _vector.c.embedding).where(
                _vector.c.turn_id.in_(batch), _vector.c.embedder == embedder
            )
        )
        found |= {row.turn_id: row.embedding for row in rows}
    return found
