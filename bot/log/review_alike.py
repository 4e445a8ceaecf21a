"""Turns that the model may be as wrong about as about one that people corrected, and as sure.

What it is sure of is not among the candidates. But where somebody has told that a message it took
for one intent is of another, it will take others like that for the same, as it must for a topic
that it was never told of.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from bot.log import tables
from bot.log.review_candidates import Row, Terms, described_turns, proposed
from bot.log.review_pool import Labelled
from bot.log.review_scores import FALLBACK, is_reviewable

EXAMPLES = 20  # of an intent: corrected turns, and as many that it was right about
TURNS = 40  # of an intent that are looked at, the newest
# Cosine to a corrected turn from which one is like it; for MiniLM.
ALIKE = 0.6
# An intent with fewer labels than this is rare; how much more a turn counts that may be of one.
FEW, RARE = 12, 0.2
OF_EACH = 10  # of an intent that become candidates in one look

_annotation = tables.annotation
_candidate = tables.review_candidate
_turn = tables.turn

Vectors = Mapping[str, NDArray[np.float32]]  # by turn, (dim,), of length one


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistaken:
    """An intent that the model took messages for that are of another one."""

    intent: str
    wrong: Sequence[Labelled]  # newest first
    right: Sequence[Labelled]


def mistaken(labelled: Sequence[Labelled]) -> list[Mistaken]:
    """The intents that were corrected, the one that was corrected last first."""
    wrong: dict[str, list[Labelled]] = {}
    right: dict[str, list[Labelled]] = {}
    for one in labelled:
        if one.intent is None or one.predicted in (None, FALLBACK):
            continue
        kind = right if one.intent == one.predicted else wrong
        kind.setdefault(str(one.predicted), []).append(one)
    return [
        Mistaken(intent=intent, wrong=found[:EXAMPLES], right=right.get(intent, [])[:EXAMPLES])
        for intent, found in wrong.items()
    ]


def taken_for(connection: Connection, *, intent: str, since: datetime) -> list[Row]:
    """The newest turns that the model took for an intent, no candidates and not labelled."""
    is_candidate = select(_candidate.c.turn_id).where(_candidate.c.turn_id == _turn.c.id).exists()
    spoken_of = select(_annotation.c.id).where(_annotation.c.turn_id == _turn.c.id).exists()
    rows = connection.execute(
        described_turns()
        .where(_turn.c.intent == intent, _turn.c.created_at >= since, ~is_candidate, ~spoken_of)
        .order_by(_turn.c.created_at.desc(), _turn.c.id.desc())
        .limit(TURNS)
    )
    return [dict(row) for row in rows.mappings() if is_reviewable(row["text"])]


def rare_intents(labelled: Sequence[Labelled]) -> set[str]:
    """The intents that people gave to few turns."""
    counts = Counter(str(one.intent) for one in labelled if one.intent is not None)
    return {intent for intent, count in counts.items() if count < FEW}


def alike(
    one: Mistaken, turns: Sequence[Row], vectors: Vectors, terms: Terms, rare: Collection[str] = ()
) -> list[Row]:
    """Candidates: turns that are more like the corrected ones than like those it was right about.

    Those come first that may be of a `rare` intent. Turns without a vector are passed over.
    """
    turns = [turn for turn in turns if turn["id"] in vectors]
    wrong = _stack(one.wrong, vectors)
    if not turns or wrong is None:
        return []
    of_turns = np.stack([vectors[turn["id"]] for turn in turns])  # (turns, dim)
    likeness = (of_turns @ wrong.T).max(axis=1)  # (turns,)
    right = _stack(one.right, vectors)
    other = 0.0 if right is None else (of_turns @ right.T).max(axis=1)
    chosen = np.flatnonzero((likeness >= ALIKE) & (likeness > other))
    known = [each for each in one.wrong if each.turn_id in vectors]
    is_rare = np.array([each.intent in rare for each in known])
    nearest = is_rare[(of_turns @ wrong.T).argmax(axis=1)]  # (turns,)
    scores = np.minimum(1.0, likeness + np.where(nearest, RARE, 0.0))
    first = sorted(chosen, key=lambda index: -scores[index])[:OF_EACH]
    found = (
        proposed(turns[index], {"disagreement": round(float(scores[index]), 4)}, terms)
        for index in first
    )
    return [row for row in found if row is not None]


def _stack(labelled: Sequence[Labelled], vectors: Vectors) -> Any:
    """(turns, dim); None where no vector is known."""
    known = [vectors[one.turn_id] for one in labelled if one.turn_id in vectors]
    return np.stack(known) if known else None
