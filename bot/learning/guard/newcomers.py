"""New intents: no shift when people named them, unless one of them makes most of the rows."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bot.learning.datasets.row import Row
from bot.learning.guard.reading import code, is_contradicted, is_labelled, leaning
from bot.learning.guard.terms import GuardTerms


def spread_of(counts: Counter[str]) -> float:
    """The effective number of kinds: 1 / sum of squared shares (Simpson 1949)."""
    total = counts.total()
    return total * total / sum(count * count for count in counts.values()) if total else 0.0


@dataclass(slots=True)
class _Newcomer:
    customers: Counter[int] = field(default_factory=Counter)
    authors: Counter[int] = field(default_factory=Counter)
    leanings: Counter[str] = field(default_factory=Counter)


class Newcomers:
    """Who makes the rows of each intent that the parent does not have."""

    def __init__(self) -> None:
        self._found: dict[str, _Newcomer] = {}

    def add(self, row: Row) -> None:
        """Count a new row of a new intent."""
        found = self._found.setdefault(str(row.intent), _Newcomer())
        found.customers[code(row.customer)] += 1
        if is_labelled(row):
            found.authors[code(row.author)] += 1
            if is_contradicted(row):
                found.leanings[str(leaning(row))] += 1

    def reason(self, row: Row, terms: GuardTerms, *, agents: int) -> dict[str, Any] | None:
        """Why a row of a new intent waits; None when it need not.

        An agent may well name an intent alone. It is theirs alone, and no topic, when there are
        others and the model took its texts for anything.
        """
        found = self._found.get(str(row.intent))
        if found is None:
            return None
        customers = found.customers.total()
        of_customer = found.customers[code(row.customer)]
        if of_customer > max(terms.customer_least, terms.most * customers):
            return {"kind": "new", "by": "customer", "share": round(of_customer / customers, 4)}
        authors = found.authors.total()
        if row.author is None or agents < 2 or authors < terms.phrase_least:
            return None
        by_agent = found.authors[code(row.author)]
        spread = spread_of(found.leanings)
        if by_agent > terms.most * authors and spread >= terms.phrase_spread_new:
            share = round(by_agent / authors, 4)
            return {"kind": "new", "by": "agent", "share": share, "spread": round(spread, 1)}
        return None
