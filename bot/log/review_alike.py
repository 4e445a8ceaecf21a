"""Turns like those of intents that the model misses: others that it may be as wrong about, as sure.

What the model is sure of is not among the candidates. But where people have told it of an intent
that it does not see, a new one above all, it takes others of that intent for something else, too.
The turns most like the few that were labelled are most of them of the same intent.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from bot.log import tables
from bot.log.review_candidates import Row, Terms, described_turns, proposed
from bot.log.review_pool import Labelled
from bot.log.review_scores import is_reviewable

# An intent is missed where the model had not seen it in more than this share of its labelled turns,
# and people have labelled fewer than so many.
MISSED, FEW = 0.5, 20
# The model hardly knows an intent that it saw in fewer of the newest turns.
SEEN = 5
TURNS = 3_000  # the newest that are looked at
COMPARED = 1_000  # the newest labelled turns
OF_EACH = 8  # of an intent that become candidates in one look
# Cosine from which a turn is like a labelled one; for MiniLM. What it is like of other intents
# counts against it by half.
ALIKE, AGAINST = 0.5, 0.5

_annotation = tables.annotation
_turn = tables.turn

Vectors = Mapping[str, NDArray[np.float32]]  # by turn, (dim,), of length one


def missed(labelled: Sequence[Labelled]) -> dict[str, float]:
    """The intents that the model does not see when people do, with how often it does not.

    Of few turns a share says little, so it is drawn to a half: Laplace's rule of succession.
    """
    seen: dict[str, list[bool]] = {}
    for one in labelled:
        if one.intent is not None:
            seen.setdefault(one.intent, []).append(one.intent == one.predicted)
    shares = {
        intent: (found.count(False) + 1) / (len(found) + 2)
        for intent, found in sorted(seen.items())
        if len(found) < FEW
    }
    return {intent: share for intent, share in shares.items() if share > MISSED}


def newest_turns(connection: Connection, *, since: datetime) -> list[Row]:
    """The newest turns that nobody has spoken of."""
    spoken_of = select(_annotation.c.id).where(_annotation.c.turn_id == _turn.c.id).exists()
    rows = connection.execute(
        described_turns()
        .where(_turn.c.created_at >= since, ~spoken_of)
        .order_by(_turn.c.created_at.desc(), _turn.c.id.desc())
        .limit(TURNS)
    )
    return [dict(row) for row in rows.mappings() if is_reviewable(row["text"])]


def alike(
    labelled: Sequence[Labelled], turns: Sequence[Row], vectors: Vectors, terms: Terms
) -> list[Row]:
    """Candidates for the intents that the model misses.

    Those stand first that are most like the labelled ones, of intents that it hardly knows or
    misses most, and that have the fewest labels. What has no vector is passed over.
    """
    labelled = [one for one in labelled if one.turn_id in vectors and one.intent is not None]
    turns = [turn for turn in turns if turn["id"] in vectors]
    if not turns or not labelled:
        return []
    known = np.stack([vectors[one.turn_id] for one in labelled])  # (labelled, dim)
    likeness = np.stack([vectors[turn["id"]] for turn in turns]) @ known.T  # (turns, labelled)
    intents = np.array([one.intent for one in labelled])
    seen = Counter(turn["intent"] for turn in turns)
    found: dict[str, Row] = {}
    for intent, share in missed(labelled).items():
        own = intents == intent
        # The first labels of an intent teach the most.
        wanted = (1.0 if seen[intent] < SEEN else share) * (1.0 - float(own.sum()) / FEW)
        like = likeness[:, own].max(axis=1)  # (turns,)
        other = likeness[:, ~own].max(axis=1) if not own.all() else np.zeros_like(like)
        scores = like - AGAINST * other
        for index in np.argsort(-scores)[:OF_EACH]:
            row = _candidate(turns[index], float(scores[index]), wanted, terms)
            if like[index] < ALIKE or row is None:
                continue
            before = found.get(row["turn_id"])
            if before is None or before["score"] < row["score"]:
                found[row["turn_id"]] = row
    return sorted(found.values(), key=lambda row: -row["score"])


def _candidate(turn: Row, score: float, wanted: float, terms: Terms) -> Row | None:
    # Half of it where a turn is no more like one of the intent than like others.
    worth = wanted * min(1.0, 0.5 + score)
    return proposed(turn, {"disagreement": round(worth, 4)}, terms)
