"""How often a wording finds its pair by meaning alone, and what two embedders differ by."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlu.calibration import Floats
from nlu.retriever import Vectors
from nlu.retriever_pairs import Asked, TaughtPair

# As the search of the QA store adds them up; spelling and intents have a say there, too.
DOCUMENT_WEIGHT, QUESTION_WEIGHT, WORDING_WEIGHT = 1.0, 0.3, 0.2
OFFERED = 3
_ROWS = 256  # questions compared at a time
_Z = 1.96

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What questions found, (questions,) each."""

    first: Flags  # the right pair came first
    offered: Flags  # it was among the first OFFERED
    best: Floats  # the best score


def score_retriever(vectors: Vectors, pairs: Sequence[TaughtPair], asked: Sequence[Asked]) -> Found:
    """Asks wordings of the pairs, each left out of what it is compared with.

    The asked wordings must not be the pairs' own questions.
    """
    texts = [pairs[one.pair].wordings[one.wording] for one in asked]
    right = np.array([one.pair for one in asked])
    starts = _starts(pairs)
    left_out = np.array([starts[one.pair] + one.wording for one in asked])
    scores = _scores(vectors, pairs, texts, left_out)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :OFFERED]  # (questions, OFFERED)
    return Found(
        first=order[:, 0] == right,
        offered=(order == right[:, None]).any(axis=1),
        best=scores.max(axis=1),
    )


def best_scores(vectors: Vectors, pairs: Sequence[TaughtPair], texts: Sequence[str]) -> Floats:
    """How near each text comes to any pair: (texts,)."""
    best: Floats = _scores(vectors, pairs, texts, None).max(axis=1)
    return best


def _scores(
    vectors: Vectors,
    pairs: Sequence[TaughtPair],
    texts: Sequence[str],
    left_out: NDArray[np.int64] | None,
) -> Floats:
    """(texts, pairs); of the wordings, those at `left_out` count for nothing."""
    documents = np.stack([vectors[pair.document] for pair in pairs])  # (pairs, dim)
    wordings = np.stack([vectors[text] for pair in pairs for text in pair.wordings])
    starts = _starts(pairs)
    parts = []
    for at in range(0, len(texts), _ROWS):
        x = np.stack([vectors[text] for text in texts[at : at + _ROWS]])  # (rows, dim)
        near = x @ wordings.T  # (rows, wordings)
        if left_out is not None:
            near[np.arange(len(x)), left_out[at : at + _ROWS]] = 0.0
        parts.append(
            DOCUMENT_WEIGHT * (x @ documents.T)
            + QUESTION_WEIGHT * near[:, starts]
            + WORDING_WEIGHT * np.maximum.reduceat(near, starts, axis=1)
        )
    return np.concatenate(parts)


def _starts(pairs: Sequence[TaughtPair]) -> NDArray[np.int64]:
    """The place of each pair's own question among all wordings: (pairs,)."""
    counts = [len(pair.wordings) for pair in pairs]
    return np.cumsum([0, *counts[:-1]])


def compare(before: Flags, after: Flags) -> dict[str, Any]:
    """Two shares on the same questions: both, their difference with its 95 % interval, and p.

    The interval of Agresti and Min (2005) for paired shares, McNemar's exact test for p.
    """
    won, lost, n = int((after & ~before).sum()), int((before & ~after).sum()), len(before)
    # One question more of each of the four outcomes, by half.
    difference = (won - lost) / (n + 2)
    spread = sqrt((won + lost + 1) - (won - lost) ** 2 / (n + 2)) / (n + 2)
    return {
        "before": round(float(before.mean()), 4) if n else None,
        "after": round(float(after.mean()), 4) if n else None,
        "difference": round((won - lost) / n, 4) if n else None,
        "interval": [round(difference - _Z * spread, 4), round(difference + _Z * spread, 4)],
        "won": won,
        "lost": lost,
        "p": mcnemar(won, lost),
    }


def mcnemar(won: int, lost: int) -> float:
    """The two-sided exact test of McNemar (1947) on the questions that changed sides."""
    n = won + lost
    tail = sum(comb(n, k) for k in range(min(won, lost) + 1))
    return min(1.0, float(2 * tail / 2**n))


def told_apart(known: Floats, strange: Floats) -> float:
    """How often a question with an answer comes nearer than a text that has none (AUROC)."""
    if not len(known) or not len(strange):
        return 1.0
    ranked = np.sort(strange)
    below = np.searchsorted(ranked, known, side="left")
    upto = np.searchsorted(ranked, known, side="right")
    return float((below + upto).mean() / 2 / len(strange))
