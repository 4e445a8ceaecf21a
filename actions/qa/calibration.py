"""Calibrates a store: how sure it must be to answer, and how sure to offer a choice."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actions.qa.confidence import DEFAULT, DEPTH, Confidence, fit_confidence
from actions.qa.index import SCORING, Likeness, PairIndex
from actions.understanding import FloatArray
from nlu.retriever_pairs import TaughtPair, is_tuned, split_pairs

OFFERED = 3  # questions a customer is shown to choose from
MAX_QUERIES = 2_000
MIN_QUERIES = 20
STRANGE_SHARE = 0.15  # of the questions that come, those the store has nothing for

# What an outcome is worth to the customer. A right answer at once is worth twice the tap on the
# right one of three; a wrong answer costs as much as a right one gives; being sent away with a
# question that has an answer costs a little, being sent away with one that has none nothing.
ANSWERED_RIGHT, ANSWERED_WRONG = 1.0, -1.0
OFFERED_RIGHT, OFFERED_WRONG = 0.5, -0.3
SENT_AWAY = -0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From scores to a decision: how confidence is computed, and the two thresholds on it."""

    confidence: Confidence = DEFAULT
    answer: float = 0.6  # from this confidence on it answers
    offer: float = 0.1  # from this on it lets the customer choose; below it has no answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The scale with and without embeddings, and the measurement they come from."""

    full: Scale
    lexical: Scale
    scoring: str = SCORING
    queries: int = 0
    strange: int = 0
    top1: float | None = None  # the left-out wording's own pair came first
    top3: float | None = None
    intent_top1: float | None = None  # a pair of the same intent came first
    answered: float | None = None  # share of the store's questions answered outright
    answered_right: float | None = None  # of those, with the right pair
    offered: float | None = None
    offered_right: float | None = None  # of those, with the right pair among the three
    strange_answered: float | None = None  # out-of-scope texts answered outright
    strange_offered: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the database and for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """What the search found for known questions: (queries,) each."""

    best: FloatArray  # (queries, DEPTH): the largest scores, largest first
    first_right: NDArray[np.bool_]
    in_offer: NDArray[np.bool_]  # the right pair is among those offered
    intent_right: NDArray[np.bool_]


def scale_from_dict(found: dict[str, Any]) -> Scale:
    """The scale that `Calibration.as_dict` wrote."""
    confidence = found["confidence"]
    return Scale(
        confidence=Confidence(
            intercept=confidence["intercept"], weights=tuple(confidence["weights"])
        ),
        answer=found["answer"],
        offer=found["offer"],
    )


def calibrate(
    index: PairIndex, strange: Sequence[str], strange_vectors: FloatArray, *, seed: int = 0
) -> Calibration:
    """Measures a store by asking it its own wordings, each left out in turn.

    strange: texts nobody should get an answer to; strange_vectors: (texts, dim).
    Only the variants are asked: the question itself is part of what is compared with. And of an
    embedder that was tuned only those that no tuning learns: it knows the others by heart.
    """
    rows = _askable(index, seed)
    if len(rows) < MIN_QUERIES:
        return Calibration(full=Scale(), lexical=Scale(), queries=len(rows))
    known, known_lexical = leave_one_out(index, rows)
    odd = _best_scores(index, strange, strange_vectors)
    scale = fit_scale(known, odd)
    sure = scale.confidence.of_many(known.best)
    odd_sure = scale.confidence.of_many(odd)
    answered, offered = sure >= scale.answer, (sure >= scale.offer) & (sure < scale.answer)
    return Calibration(
        full=scale,
        lexical=fit_scale(known_lexical, _best_scores(index, strange, None)),
        queries=len(rows),
        strange=len(strange),
        top1=_share(known.first_right),
        top3=_share(known.in_offer),
        intent_top1=_share(known.intent_right),
        answered=_share(answered),
        answered_right=_share(known.first_right[answered]),
        offered=_share(offered),
        offered_right=_share(known.in_offer[offered]),
        strange_answered=_share(odd_sure >= scale.answer),
        strange_offered=_share((odd_sure >= scale.offer) & (odd_sure < scale.answer)),
    )


def leave_one_out(index: PairIndex, rows: NDArray[np.int64]) -> tuple[Ranked, Ranked]:
    """Asks the wordings in `rows` of a store without them; the second is by spelling alone."""
    corpus, prior = index.corpus, index.prior
    priors = prior.scores_without(rows, corpus.vectors)[:, prior.of_pair]  # (rows, pairs)
    scores = np.empty((len(rows), index.size), dtype=np.float32)
    lexical = np.empty_like(scores)
    for i, row in enumerate(rows):
        wordings, documents = index.spelling(corpus.texts[row])
        wordings[row] = 0.0
        meaning = corpus.vectors @ corpus.vectors[row]
        meaning[row] = 0.0
        scores[i] = index.combined(
            Likeness(
                documents=corpus.documents @ corpus.vectors[row],
                wordings=meaning,
                spelling=documents,
                prior=priors[i],
            )
        )
        lexical[i] = index.by_spelling(wordings, documents)
    owners = corpus.owners[rows]
    return _ranked(scores, owners, prior.of_pair), _ranked(lexical, owners, prior.of_pair)


def fit_scale(known: Ranked, odd: FloatArray) -> Scale:
    """The confidence, and the two thresholds with the greatest worth.

    odd: (texts, DEPTH), the best scores of texts that have no answer. Every confidence that was
    seen is tried as either threshold. Where nobody is better served by a choice between three,
    both come out equal.
    """
    share = STRANGE_SHARE if len(odd) else 0.0
    weights = np.r_[
        np.full(len(known.best), (1 - share) / len(known.best)),
        np.full(len(odd), share / max(len(odd), 1)),
    ]
    best = np.concatenate([known.best, odd])
    nothing = np.zeros(len(odd), dtype=bool)
    right, offered = np.r_[known.first_right, nothing], np.r_[known.in_offer, nothing]
    confidence = fit_confidence(best, right, weights * len(weights))
    sure = confidence.of_many(best)
    answering = np.where(right, ANSWERED_RIGHT, ANSWERED_WRONG) * weights
    offering = np.where(offered, OFFERED_RIGHT, OFFERED_WRONG) * weights
    parting = np.where(np.r_[~np.zeros(len(known.best), bool), nothing], SENT_AWAY, 0.0) * weights
    order = np.argsort(-sure, kind="stable")
    # gains[k]: what it is worth to answer the k surest instead of offering, and so on
    answer_gain = np.r_[0.0, np.cumsum((answering - offering)[order])]
    offer_gain = np.r_[0.0, np.cumsum((offering - parting)[order])]
    # For each cut of offering, the best cut of answering at or before it.
    so_far = np.maximum.accumulate(answer_gain)
    cut_offer = int(np.argmax(so_far + offer_gain))
    cut_answer = int(np.argmax(answer_gain[: cut_offer + 1]))
    ranked = sure[order]
    return Scale(
        confidence=confidence,
        answer=_between(ranked, cut_answer),
        offer=_between(ranked, cut_offer),
    )


def _between(ranked: FloatArray, cut: int) -> float:
    """A confidence that parts the first `cut` from the rest."""
    above = float(ranked[cut - 1]) if cut else 1.0
    below = float(ranked[cut]) if cut < len(ranked) else 0.0
    return round((above + below) / 2, 4)


def _best_scores(index: PairIndex, texts: Sequence[str], vectors: FloatArray | None) -> FloatArray:
    """The DEPTH largest scores for each text: (texts, DEPTH); by spelling without vectors."""
    best = np.zeros((len(texts), DEPTH), dtype=np.float32)
    for i, text in enumerate(texts):
        hits = index.search(text, None if vectors is None else vectors[i], DEPTH)
        best[i, : len(hits)] = [hit.score for hit in hits]
    return best


def _askable(index: PairIndex, seed: int) -> NDArray[np.int64]:
    owners = index.corpus.owners
    rows = np.flatnonzero(np.r_[False, owners[1:] == owners[:-1]])
    if is_tuned(index.corpus.embedder):
        rows = rows[_never_learnt(index)[rows]]
    if len(rows) > MAX_QUERIES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAX_QUERIES, replace=False))
    return rows


def _never_learnt(index: PairIndex) -> NDArray[np.bool_]:
    """The wordings that a tuning holds out: (wordings,)."""
    taught = [
        TaughtPair(id=p.id, group=p.category, document=p.document, wordings=p.wordings)
        for p in index.corpus.pairs
    ]
    held = {(one.pair, taught[one.pair].wordings[one.wording]) for one in split_pairs(taught).asked}
    owners, texts = index.corpus.owners.tolist(), index.corpus.texts
    return np.asarray([key in held for key in zip(owners, texts, strict=True)], dtype=np.bool_)


def _ranked(scores: FloatArray, owners: NDArray[np.int32], intents: NDArray[np.int64]) -> Ranked:
    order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]  # (queries, DEPTH)
    best = np.zeros((len(scores), DEPTH), dtype=np.float32)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    first = order[:, 0]
    return Ranked(
        best=best,
        first_right=first == owners,
        in_offer=(order[:, :OFFERED] == owners[:, None]).any(axis=1),
        intent_right=intents[first] == intents[owners],
    )


def _share(flags: NDArray[np.bool_]) -> float | None:
    return round(float(flags.mean()), 4) if len(flags) else None
