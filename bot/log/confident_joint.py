"""Finds labels that are probably wrong, from what the model thought of the same texts.

After Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
JAIR 70 (2021): an example counts for a class when the model gives the class at least the
probability that it gives it on average where people chose it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Probabilities = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One example whose given label the model contradicts with confidence."""

    index: int
    given: str
    likely: str
    # By how much the likely label is more probable than the given one, 0 to 1.
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """How often people chose one label where the model was confident of another."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (given, likely)
    suspects: list[Suspect] = field(default_factory=list)


def confident_joint(given: Sequence[str], probabilities: Sequence[Probabilities]) -> Joint:
    """The joint of given and likely labels, and the suspects, most suspicious first.

    A label that a stored ranking does not name has the probability 0.
    """
    sums: dict[str, float] = defaultdict(float)
    counts = Counter(given)
    for label, found in zip(given, probabilities, strict=True):
        sums[label] += found.get(label, 0.0)
    thresholds = {label: sums[label] / count for label, count in counts.items()}
    joint = Joint()
    for index, (label, found) in enumerate(zip(given, probabilities, strict=True)):
        confident = {
            name: value
            for name, value in found.items()
            if value > 0 and value >= thresholds.get(name, float("inf"))
        }
        if not confident:
            continue
        likely = max(confident, key=lambda name: confident[name])
        joint.counts[label, likely] += 1
        score = found[likely] - found.get(label, 0.0)
        if likely != label and score > 0:
            joint.suspects.append(
                Suspect(index=index, given=label, likely=likely, score=round(score, 4))
            )
    joint.suspects.sort(key=lambda suspect: -suspect.score)
    return joint


def error_rates(
    given: Sequence[str], predicted: Sequence[str | None], *, least: int = 5
) -> dict[str, float]:
    """By predicted label: how often people chose another one, where at least `least` looked.

    Smoothed by one right and one wrong case, so that a few cases say less than many.
    """
    seen: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for label, guess in zip(given, predicted, strict=True):
        if guess is not None:
            seen[guess] += 1
            wrong[guess] += label != guess
    return {
        guess: round((wrong[guess] + 1) / (count + 2), 4)
        for guess, count in seen.items()
        if count >= least
    }
