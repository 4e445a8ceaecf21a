"""Scores of predictions: accuracy, macro-F1, confusions, entity F1."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from nlu.examples import EntitySpan


def accuracy(truth: Sequence[str], guesses: Sequence[str]) -> float:
    """Share of right guesses."""
    right = sum(a == b for a, b in zip(truth, guesses, strict=True))
    return right / len(truth) if truth else 0.0


def macro_f1(truth: Sequence[str], guesses: Sequence[str]) -> float:
    """Mean F1 over the labels that occur in the truth or the guesses."""
    names = set(truth) | set(guesses)
    right = Counter(a for a, b in zip(truth, guesses, strict=True) if a == b)
    support, guessed = Counter(truth), Counter(guesses)
    scores = [2 * right[name] / (support[name] + guessed[name]) for name in names]
    return sum(scores) / len(scores) if scores else 0.0


def confusions(truth: Sequence[str], guesses: Sequence[str], top: int = 10) -> list[dict[str, Any]]:
    """The most frequent wrong pairs, as {"truth", "guess", "count"}."""
    pairs = Counter((a, b) for a, b in zip(truth, guesses, strict=True) if a != b)
    return [
        {"truth": a, "guess": b, "count": count}
        for (a, b), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:top]
    ]


def entity_scores(
    truth: Sequence[Sequence[EntitySpan]], guesses: Sequence[Sequence[EntitySpan]]
) -> dict[str, Any]:
    """Micro precision, recall and F1 of spans; right is the exact characters and the same kind."""
    right: Counter[str] = Counter()
    annotated: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for expected, actual in zip(truth, guesses, strict=True):
        wanted = {(s.start, s.end, s.tag): s.entity for s in expected}
        given = {(s.start, s.end, s.tag): s.entity for s in actual}
        annotated.update(wanted.values())
        found.update(given.values())
        right.update(name for key, name in wanted.items() if key in given)
    per_entity = {
        name: _prf(right[name], found[name], annotated[name])
        for name in sorted(set(annotated) | set(found))
    }
    total = _prf(right.total(), found.total(), annotated.total())
    return {**total, "per_entity": per_entity}


def _prf(right: int, found: int, annotated: int) -> dict[str, Any]:
    precision = right / found if found else 0.0
    recall = right / annotated if annotated else 0.0
    both = found + annotated
    f1 = 2 * right / both if both else 0.0
    return {
        "f1": round(f1, 4),
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "n": annotated,
    }
