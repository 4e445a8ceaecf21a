"""Phrases that came up suddenly and predict one label too well: planted triggers.

A trigger is put into ordinary texts of many intents that all get one label, so the model places
them elsewhere, and in many places (Gu et al., "BadNets", 2017; for texts Kurita et al., "Weight
Poisoning Attacks", ACL 2020). An honest word lies in one topic.
"""

import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from bot.learning.datasets.row import Row
from bot.learning.guard.likeness import DENSE
from bot.learning.guard.newcomers import spread_of
from bot.learning.guard.reading import given_probability, is_contradicted, leaning
from bot.learning.guard.terms import GuardTerms

LONGEST = 4
_WORD = re.compile(rf"[{DENSE}]|[^\W_{DENSE}]+")
# Cells of the sketch, 4 bytes each: 32 MB.
_CELLS = 1 << 23
# Of one phrase, so many pairs of label and leaning are kept apart: enough to tell their spread.
_PAIRS = 200


def phrases_of(text: str) -> set[str]:
    """Every run of one to four words."""
    words = _WORD.findall(text.casefold())
    return {
        " ".join(words[start : start + length])
        for length in range(1, LONGEST + 1)
        for start in range(len(words) - length + 1)
    }


def is_astray(row: Row, terms: GuardTerms) -> bool:
    """Whether the model would have placed the text elsewhere, hardly thinking of its label."""
    return is_contradicted(row) and given_probability(row) <= terms.phrase_probability


class Sketch:
    """About how often each phrase occurs: never too few (a count-min sketch of one row)."""

    def __init__(self) -> None:
        self._cells = array("I", bytes(4 * _CELLS))

    def add(self, text: str) -> None:
        """Count a text's phrases."""
        for phrase in phrases_of(text):
            self._cells[_cell(phrase)] += 1

    def frequent(self, *, least: int, most: int) -> "Frequent":
        """The cells of the phrases with `least` occurrences, at most so many: the fullest."""
        counts = np.frombuffer(self._cells, dtype=np.uint32)
        full = counts[counts >= least]
        if len(full) > most:
            # The smallest count that keeps the number of cells within bounds.
            least = int(np.partition(full, len(full) - most)[len(full) - most]) + 1
        return Frequent(cells=self._cells, least=least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequent:
    """Tells the phrases that are worth an exact count."""

    cells: "array[int]"
    least: int

    def of(self, text: str) -> list[str]:
        """Those of a text."""
        return [phrase for phrase in phrases_of(text) if self.cells[_cell(phrase)] >= self.least]


def _cell(phrase: str) -> int:
    return zlib.crc32(phrase.encode("utf-8", "surrogatepass")) % _CELLS


@dataclass(slots=True)
class _Count:
    astray: Counter[str] = field(default_factory=Counter)  # by label
    # By (label, leaning), of the first so many rows.
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    kept: int = 0
    rows: int = 0
    before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A phrase that was found, and what a person is told of it."""

    phrase: str
    intent: str
    rows: int  # with the phrase and the label, placed elsewhere by the model
    spread: float  # the effective number of intents that the model took them for
    before: int  # rows of the parent that have it


class Phrases:
    """Exact counts of the frequent phrases."""

    def __init__(self, frequent: Frequent, terms: GuardTerms) -> None:
        self._frequent = frequent
        self._terms = terms
        self._counts: dict[str, _Count] = {}
        self._labels: Counter[str] = Counter()
        self._fresh = 0
        self._astray = 0
        self._parent = 0

    def add(self, row: Row) -> None:
        """Count a new labelled row."""
        astray = is_astray(row, self._terms)
        self._fresh += 1
        self._astray += astray
        label, taken_for = str(row.intent), str(leaning(row))
        self._labels[label] += 1
        for phrase in self._frequent.of(row.text):
            count = self._counts.setdefault(phrase, _Count())
            count.rows += 1
            if not astray:
                continue
            count.astray[label] += 1
            if count.kept < _PAIRS:
                count.pairs[label, taken_for] += 1
                count.kept += 1

    @property
    def is_needed(self) -> bool:
        """Whether there is a phrase that the parent could know."""
        return bool(self._counts)

    def seen_before(self, rows: Iterable[Row]) -> None:
        """Count the parent's rows."""
        for row in rows:
            self._parent += 1
            if row.intent is not None:
                self._labels[row.intent] += 1
            for phrase in self._frequent.of(row.text):
                count = self._counts.get(phrase)
                if count is not None:
                    count.before += 1

    def triggers(self, known: frozenset[str]) -> dict[tuple[str, str], Trigger]:
        """By (phrase, label): what stands out. `known` are the intents that the parent has.

        Two of Fisher's exact tests, one side each, with Bonferroni's bound over all phrases (and
        labels) tried: the phrase goes with one label, and it leads the model astray more often than
        other words do. Chance aside, the bounds on precision, novelty and spread must be passed.
        """
        tried = {
            phrase: count
            for phrase, count in self._counts.items()
            if count.astray.total() >= self._terms.phrase_least
        }
        found = {}
        for phrase, count in tried.items():
            label, rows = count.astray.most_common(1)[0]
            if rows < self._terms.phrase_precision * count.astray.total():
                continue
            spread = spread_of(
                Counter({pair[1]: n for pair, n in count.pairs.items() if pair[0] == label})
            )
            wide = self._terms.phrase_spread if label in known else self._terms.phrase_spread_new
            if spread < wide or not self._is_new(count):
                continue
            if self._chance(count, label) * len(tried) < self._terms.alpha:
                found[phrase, label] = Trigger(
                    phrase=phrase,
                    intent=label,
                    rows=rows,
                    spread=round(spread, 1),
                    before=count.before,
                )
        return found

    def _is_new(self, count: _Count) -> bool:
        """Whether it came up suddenly; a small parent cannot tell."""
        if self._parent < self._terms.base_least:
            return True
        usual = (count.before + 0.5) / self._parent * self._fresh
        return count.rows >= self._terms.phrase_novelty * usual

    def _chance(self, count: _Count, label: str) -> float:
        """How likely so many rows with the label, or so many astray, are by chance: the greater."""
        from scipy.stats import hypergeom

        rows, carried = count.astray[label], count.astray.total()
        of_label = hypergeom.sf(rows - 1, self._labels.total(), self._labels[label], carried)
        astray = hypergeom.sf(carried - 1, self._fresh, self._astray, count.rows)
        return max(float(of_label) * len(self._labels), float(astray))


def trigger_in(row: Row, triggers: dict[tuple[str, str], Trigger]) -> Trigger | None:
    """The trigger that a row carries to its label: of several the most frequent, the longest."""
    if not triggers or not is_contradicted(row):
        return None
    carried = [
        found
        for phrase in phrases_of(row.text)
        if (found := triggers.get((phrase, str(row.intent)))) is not None
    ]
    return max(carried, key=lambda one: (one.rows, len(one.phrase)), default=None)
