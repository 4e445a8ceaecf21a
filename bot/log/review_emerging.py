"""Turns of topics that came up of late, whatever the model takes them for.

What is new to a company is new to its log: before it came up nobody wrote anything like it. That
shows where the model does not, which takes half of such messages for something that it knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, func, or_, select, true

from bot.log import tables
from bot.log.emergence import LEAST_TEXTS, emergence, false_share, nearest_texts
from bot.log.k_centre import k_centre
from bot.log.review_pool import Labelled
from bot.log.review_scores import FALLBACK
from bot.log.said_turns import Sieve, confidence_of, said_turns

BACK = timedelta(weeks=8)  # half of it is of late
TURNS = 6_000  # a sample of them
PER_CUSTOMER = 20  # nobody makes a topic alone
MOST = 150  # candidates at a time
# In nats, beside `emergence`: what speaks against a turn that the model is wholly sure of, and what
# is as much as can be.
_SURE, _MOST = 2.0, 10.0
# Of what is shown, so much at most may be what chance would show where nothing is new: that is
# drawn so often, by giving the turns other places in time.
_FALSE, _DRAWS = 0.4, 4
# A cosine distance from which a turn is as unlike others as can be, for MiniLM.
_UNLIKE = 0.5
# So many labelled ones among those nearest to a turn halve what it would teach.
_LABELLED = 8

_turn = tables.turn

Vectors = Mapping[str, NDArray[np.float32]]  # by turn, (dim,), of length one


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A turn of the sample; `confidence` of what it was taken for."""

    turn_id: str
    text: str
    intent: str | None
    confidence: float


def sampled_turns(connection: Connection, *, since: datetime) -> list[Sampled]:
    """A sample by lot of the turns since then, oldest first; later mostly the same ones again.

    Of texts that read the same the oldest, of a customer so many.
    """
    within = _turn.c.created_at >= since
    count = connection.execute(select(func.count()).select_from(_turn).where(within)).scalar_one()
    rows = connection.execute(
        said_turns()
        .where(within, _drawn(TURNS / max(count, TURNS)))
        .order_by(_turn.c.created_at, _turn.c.id)
    )
    sieve = Sieve(PER_CUSTOMER)
    return [
        Sampled(turn_id=row.id, text=row.text, intent=row.intent, confidence=confidence_of(row))
        for row in rows
        if sieve.passes(row)
    ]


def _drawn(share: float) -> ColumnElement[bool]:
    """Whether a turn is of a share of all: by the end of its id, which is chance (hexadecimal).

    What is of a small share is of a larger one, too, so that vectors are remembered.
    """
    if share >= 1.0:
        return true()
    zeros = ""
    while 16 * share < 1.0:
        share, zeros = 16 * share, f"{zeros}0"
    digits = "0123456789abcdef"[: int(16 * share)]
    return or_(*(_turn.c.id.like(f"%{digit}{zeros}") for digit in digits))


def emerging(
    sample: Sequence[Sampled], vectors: Vectors, labelled: Sequence[Labelled]
) -> dict[str, float]:
    """The turns that nobody has labelled of topics that came up of late, up to 1, the best first.

    By how surely its topic came up; less where the model is sure, where it takes a turn for what
    people said of those most alike, and where many of those are labelled already; and by how unlike
    it is to what is labelled and to those before it, for the core of a topic is soon learned.
    """
    sample = [one for one in sample if one.turn_id in vectors]
    if len(sample) < LEAST_TEXTS:
        return {}
    stacked = np.stack([vectors[one.turn_id] for one in sample])  # (sample, dim)
    nearest = nearest_texts(stacked)
    intents = {one.turn_id: one.intent for one in labelled if one.intent is not None}
    said = np.array([intents.get(one.turn_id, "") for one in sample])  # (sample,)
    taken_for = np.array([one.intent or FALLBACK for one in sample])
    confidence = np.array([one.confidence for one in sample])
    known = (said[nearest] != "").sum(axis=1)  # (sample,)
    agree = (said[nearest] == taken_for[:, None]).sum(axis=1)
    # Laplace's rule of succession, from nothing that speaks against a turn.
    doubt = 1.0 - agree / (known + 1.0)
    teaches = np.where(said == "", doubt / (1.0 + known / _LABELLED), 0.0)

    def worths(places: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        return np.maximum(0.0, (emergence(nearest, places) - _SURE * confidence) * teaches)

    draw = np.random.default_rng(len(sample))
    scores = worths()
    chance = np.stack([worths(draw.permutation(len(sample))) for _ in range(_DRAWS)])
    best = np.flatnonzero(scores >= false_share(scores, chance, _FALSE))
    worth = np.minimum(1.0, scores[best] / _MOST).astype(np.float32)
    chosen = k_centre(stacked[best], stacked[said != ""], MOST, worth)
    return {
        sample[best[index]].turn_id: round(float(worth[index]) * min(1.0, distance / _UNLIKE), 4)
        for index, distance in chosen
    }
