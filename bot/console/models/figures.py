"""A version's figures in rows that can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Where a figure is among a version's validation scores; and whether more is better.
FIGURES: tuple[tuple[str, str, str, bool], ...] = (
    ("intent_accuracy", "intent", "accuracy", True),
    ("intent_macro_f1", "intent", "macro_f1", True),
    ("intent_ece", "intent", "ece", False),
    ("emotion_accuracy", "emotion", "accuracy", True),
    ("emotion_macro_f1", "emotion", "macro_f1", True),
    ("emotion_ece", "emotion", "ece", False),
    ("entity_f1", "entities", "f1", True),
    ("entity_precision", "entities", "precision", True),
    ("entity_recall", "entities", "recall", True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One score of two versions; `better` names the side, None when they are alike."""

    name: str
    left: float | None
    right: float | None
    better: str | None


def figure_of(model: Mapping[str, Any], head: str, key: str) -> float | None:
    """A score of a version; None when it has no such head."""
    value = ((model.get("validation") or {}).get(head) or {}).get(key)
    return float(value) if isinstance(value, int | float) else None


def compared(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Figure]:
    """The scores that either version has."""
    found = []
    for name, head, key, more_is_better in FIGURES:
        one, other = figure_of(left, head, key), figure_of(right, head, key)
        if one is None and other is None:
            continue
        better = None
        if one is not None and other is not None and one != other:
            better = "right" if (other > one) == more_is_better else "left"
        found.append(Figure(name=name, left=one, right=other, better=better))
    return found
