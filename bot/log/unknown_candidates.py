"""Reads the messages that were not understood and that nobody has spoken of, to be grouped."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, or_, select

from bot.log import tables
from bot.log.review_scores import FALLBACK, is_reviewable, text_key

_BATCH = 500  # keys in one IN (...)

_annotation = tables.annotation
_cluster = tables.unknown_cluster
_conversation = tables.conversation
_member = tables.unknown_member
_turn = tables.turn
_vector = tables.review_vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which turns are looked at: since when, below which confidence, how many of whom."""

    since: datetime
    below: float
    most: int
    per_customer: int


def candidates(connection: Connection, *, wanted: Wanted) -> list[tuple[str, str]]:
    """(turn, text) of what was not understood and nobody has spoken of, the newest first.

    Of texts that read the same there is one, of a customer so many; what people have named or
    dismissed already does not come again.
    """
    later = _annotation.alias()
    spoken_of = (
        select(_annotation.c.id)
        .where(
            _annotation.c.turn_id == _turn.c.id,
            _annotation.c.kind != "revoke",
            ~select(later.c.id).where(later.c.revokes == _annotation.c.id).exists(),
        )
        .exists()
    )
    decided = (
        select(_member.c.turn_id)
        .join(_cluster, _cluster.c.id == _member.c.cluster_id)
        .where(_member.c.turn_id == _turn.c.id, _cluster.c.state != "open")
        .exists()
    )
    rows = connection.execute(
        select(
            _turn.c.id,
            _turn.c.text,
            func.coalesce(_conversation.c.customer_id, _conversation.c.id).label("customer"),
        )
        .join(_conversation, _conversation.c.id == _turn.c.conversation_id)
        .where(
            _turn.c.created_at >= wanted.since,
            or_(_turn.c.intent == FALLBACK, _turn.c.confidence < wanted.below),
            ~spoken_of,
            ~decided,
        )
        .order_by(_turn.c.created_at.desc(), _turn.c.id.desc()),
        execution_options={"yield_per": 1000},
    )
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    shares: Counter[str] = Counter()
    for row in rows:
        key = text_key(row.text)
        if key in seen or shares[row.customer] >= wanted.per_customer:
            continue
        if not is_reviewable(row.text):
            continue
        seen.add(key)
        shares[row.customer] += 1
        found.append((row.id, row.text))
        if len(found) >= wanted.most:
            break
    rows.close()
    return found


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
