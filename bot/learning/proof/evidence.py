"""What is known of two versions side by side: the same texts, and what each made of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nlu.labels import Labels

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A version, apart from what it makes of texts."""

    version: str
    mode: str  # of its engine: cpu-int8 or cpu
    size_bytes: int
    labels: Labels
    threshold: float  # confidence below which it asks again
    latency_ms: Sequence[float] = ()  # of single texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Guesses of both sides for one head; every array is (texts,), labels are places in `names`."""

    names: tuple[str, ...]
    truth: Ints
    champion: Ints
    challenger: Ints
    champion_confidence: Floats
    challenger_confidence: Floats
    frozen: Bools  # of the frozen test set; else of the new data

    @property
    def n(self) -> int:
        return len(self.truth)

    @property
    def champion_right(self) -> Bools:
        found: Bools = self.champion == self.truth
        return found

    @property
    def challenger_right(self) -> Bools:
        found: Bools = self.challenger == self.truth
        return found

    def changes(self, within: Bools | None = None) -> tuple[int, int]:
        """Texts that only the challenger has right, and that only the champion has."""
        gained, lost = self.flips(within)
        return len(gained), len(lost)

    def flips(self, within: Bools | None = None) -> tuple[list[int], list[int]]:
        """The places of these texts, among those that are asked about."""
        before, after = self.champion_right, self.challenger_right
        if within is not None:
            before, after = before[within], after[within]
        return np.flatnonzero(after & ~before).tolist(), np.flatnonzero(before & ~after).tolist()

    def at(self, rows: Ints) -> "Paired":
        """The texts at these places."""
        return replace(
            self,
            truth=self.truth[rows],
            champion=self.champion[rows],
            challenger=self.challenger[rows],
            champion_confidence=self.champion_confidence[rows],
            challenger_confidence=self.challenger_confidence[rows],
            frozen=self.frozen[rows],
        )

    def of_label(self, name: str) -> Bools:
        """The texts whose true label it is."""
        return self.of_labels((name,))

    def of_labels(self, names: Collection[str]) -> Bools:
        """The texts whose true label is one of these."""
        found: Bools = np.isin(
            self.truth, [at for at, name in enumerate(self.names) if name in names]
        )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedSpans:
    """Entities by text, each side (texts, 3): how many are right, found, annotated."""

    champion: Ints
    challenger: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedScope:
    """How sure both are that texts are in scope, of texts that are not and of texts that are."""

    outside: tuple[Floats, Floats]  # champion, challenger: each (texts out of scope,)
    inside: tuple[Floats, Floats]
    turned_away: tuple[Bools, Bools]  # of the texts out of scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Real messages that both take differently, drawn by lot and labelled by people."""

    texts: Paired
    differ: int  # messages that both take differently
    replayed: int  # of so many

    @property
    def stands_for(self) -> int:
        """So many real messages they are worth: what both take alike decides nothing."""
        return round(self.replayed * self.texts.n / self.differ)

    def of_known(self, known: Collection[str]) -> tuple[int, int, int]:
        """(messages they stand for, gained, lost), of intents that are known."""
        within = self.texts.of_labels(known)
        return (self.stands_for - int((~within).sum()), *self.texts.changes(within))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a verdict is made from; None where it was not measured."""

    champion: Side
    challenger: Side
    intents: Paired
    emotions: Paired | None = None
    spans: PairedSpans | None = None
    scope: PairedScope | None = None
    asked: Asked | None = None
    # Intents that the champion hardly knows, of which the challenger has learned many more texts.
    grown: frozenset[str] = frozenset()
    shadow_turns: int = 0
    shadow_changed: int = 0
