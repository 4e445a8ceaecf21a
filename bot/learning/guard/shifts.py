"""Sudden shifts: intents whose share of the new rows is far from their share of the parent."""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from bot.learning.datasets.row import Row
from bot.learning.guard.reading import is_contradicted, is_labelled, leaning
from bot.learning.guard.terms import GuardTerms

# What people said and what the model said of itself are chosen differently, and compared apart.
Stratum = Literal["labelled", "pseudo"]
Key = tuple[Stratum, str]


def stratum_of(row: Row) -> Stratum:
    """Which of the two a row with an intent is of."""
    return "labelled" if is_labelled(row) else "pseudo"


@dataclass(slots=True)
class Shares:
    """How many rows there are of each intent."""

    counts: Counter[Key] = field(default_factory=Counter)
    totals: Counter[Stratum] = field(default_factory=Counter)
    # Rows that the model took for an intent and somebody labelled as another known one.
    taken: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, *, is_new: bool = False) -> None:
        """Count a row; one without an intent counts for nothing. `is_new`: its intent is."""
        if row.intent is None:
            return
        stratum = stratum_of(row)
        self.counts[stratum, row.intent] += 1
        self.totals[stratum] += 1
        if is_contradicted(row) and not is_new:
            self.taken[str(leaning(row))] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A rise: so many rows too many. A fall: so many were labelled otherwise, too many."""

    kind: Literal["rise", "fall"]
    key: Key
    before: float  # its share of the parent
    now: float  # of the new rows
    surplus: int


def find_shifts(parent: Shares, fresh: Shares, terms: GuardTerms) -> list[Shift]:
    """What shifted: Fisher's exact test, two-sided, Bonferroni's bound, and at least the factor.

    An intent that is new is no shift, nor one that customers ask for less: a fall is one when most
    of what is missing was labelled otherwise.
    """
    from scipy.stats import hypergeom

    keys = [key for key, count in parent.counts.items() if count >= terms.known_least]
    found = []
    for key in sorted(keys):
        stratum, intent = key
        base, new = parent.totals[stratum], fresh.totals[stratum]
        if base < terms.base_least or not new:
            continue
        was, now = parent.counts[key], fresh.counts[key]
        usual = was / base * new
        kind: Literal["rise", "fall"]
        if now >= max(terms.shift_least, terms.shift_factor * usual):
            kind, surplus = "rise", now - int(terms.shift_factor * usual)
            chance = hypergeom.sf(now - 1, base + new, was + now, new)
        elif usual >= max(terms.shift_least, terms.shift_factor * now) and _is_taken(
            key, fresh, usual - now
        ):
            kind, surplus = "fall", min(round(usual) - now, fresh.taken[intent])
            chance = hypergeom.cdf(now, base + new, was + now, new)
        else:
            continue
        if surplus > 0 and 2 * float(chance) * len(keys) < terms.alpha:
            before, share = round(was / base, 4), round(now / new, 4)
            found.append(Shift(kind=kind, key=key, before=before, now=share, surplus=surplus))
    return found


def _is_taken(key: Key, fresh: Shares, missing: float) -> bool:
    stratum, intent = key
    return stratum == "labelled" and fresh.taken[intent] >= missing / 2


class Surplus:
    """Picks the rows of each shift that are too many: the contradicted, concentrated, newest."""

    def __init__(self, shifts: list[Shift]) -> None:
        self._rises = {shift.key: shift for shift in shifts if shift.kind == "rise"}
        self._falls = {shift.key[1]: shift for shift in shifts if shift.kind == "fall"}
        self._heaps: dict[Shift, list[tuple[bool, int, str, int]]] = {}

    def offer(self, index: int, row: Row, *, of_customer: int, is_new: bool) -> None:
        """Consider a row; `of_customer`: how many of the intent, which may be new, they have."""
        if row.intent is None:
            return
        contradicted = is_contradicted(row)
        shifts = [self._rises.get((stratum_of(row), row.intent))]
        if contradicted and not is_new:
            shifts.append(self._falls.get(str(leaning(row))))
        for shift in shifts:
            if shift is not None:
                heap = self._heaps.setdefault(shift, [])
                item = (contradicted, of_customer, row.at, index)
                if len(heap) < shift.surplus:
                    heapq.heappush(heap, item)
                elif item > heap[0]:
                    heapq.heapreplace(heap, item)

    def rows(self) -> dict[int, Shift]:
        """By the number of the row: the shift that it is too many of."""
        return {item[-1]: shift for shift, heap in self._heaps.items() for item in heap}
