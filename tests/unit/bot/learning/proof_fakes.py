"""Versions that answer what a test wants, for the tests of the proof."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bot.learning.proof.evidence import Evidence, Paired, PairedScope, Side
from nlu.examples import Example
from nlu.labels import Labels
from nlu.understanding import Meaning

INTENTS = ("cancel_order", "greet", "out_of_scope", "track_order")
EMOTIONS = ("angry", "neutral")


def side(version: str = "champion", **changes: Any) -> Side:
    """A version with nothing wrong about it."""
    plain = Side(
        version=version,
        mode="cpu-int8",
        size_bytes=100_000_000,
        labels=Labels(intent=INTENTS, emotion=EMOTIONS, tags=("O", "B-city", "I-city")),
        threshold=0.4,
        latency_ms=(5.0, 5.1, 4.9),
    )
    return replace(plain, **changes)


class FakeReader:
    """Answers from a table of texts: (intent, confidence), and an emotion."""

    def __init__(
        self,
        says: Mapping[str, tuple[str, float]],
        *,
        feels: Callable[[str], str] = lambda text: "neutral",
        **changes: Any,
    ) -> None:
        self.side = side(**changes)
        self.says = says
        self.feels = feels
        self.batches: list[int] = []
        self.timed: list[str] = []
        self.ms = 5.0

    def read(self, examples: Sequence[Example]) -> list[Meaning]:
        """As the table says; the rest is shared by the other intents."""
        self.batches.append(len(examples))
        return [self._meaning(example.text) for example in examples]

    def time_ms(self, text: str) -> float:
        """Always the same."""
        self.timed.append(text)
        return self.ms

    def _meaning(self, text: str) -> Meaning:
        intent, sure = self.says[text]
        others = [name for name in self.side.labels.intent if name != intent]
        ranking = [(intent, sure), *((name, (1 - sure) / len(others)) for name in others)]
        felt = self.feels(text)
        emotions = [(felt, 0.9), *((name, 0.1) for name in EMOTIONS if name != felt)]
        return Meaning(intents=ranking, emotions=emotions, entities=[])


def paired(
    n: int = 400,
    *,
    gained: int = 0,
    lost: int = 0,
    both_wrong: int = 20,
    names: Sequence[str] = INTENTS,
    new: int = 0,
) -> Paired:
    """Texts of all labels in turn: the first `gained`, the next `lost`, the next wrong for both.

    The last `new` texts are of the new data.
    """
    truth = np.arange(n, dtype=np.int64) % len(names)
    wrong = (truth + 1) % len(names)
    champion, challenger = truth.copy(), truth.copy()
    champion[:gained] = wrong[:gained]
    challenger[gained : gained + lost] = wrong[gained : gained + lost]
    at = gained + lost
    champion[at : at + both_wrong] = challenger[at : at + both_wrong] = wrong[at : at + both_wrong]
    return Paired(
        names=tuple(names),
        truth=truth,
        champion=champion,
        challenger=challenger,
        champion_confidence=np.where(champion == truth, 0.98, 0.05),
        challenger_confidence=np.where(challenger == truth, 0.98, 0.05),
        frozen=np.arange(n) < n - new,
    )


def scope(before: Sequence[float], after: Sequence[float], inside: int = 100) -> PairedScope:
    """Texts out of scope that are so sure to be in scope; below 0.4 they are turned away."""
    outside = (np.array(before), np.array(after))
    sure = np.linspace(0.6, 1.0, inside)
    return PairedScope(
        outside=outside, inside=(sure, sure), turned_away=(outside[0] < 0.4, outside[1] < 0.4)
    )


def evidence(texts: Paired | None = None, **changes: Any) -> Evidence:
    """Two versions with nothing between them but the texts."""
    found = Evidence(
        champion=side(),
        challenger=side("challenger"),
        intents=paired(gained=20) if texts is None else texts,
    )
    return replace(found, **changes)
