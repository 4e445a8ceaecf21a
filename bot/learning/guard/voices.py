"""Agents and customers whose labels are contradicted far more often than the others'."""

from collections import Counter
from dataclasses import dataclass, field

from bot.learning.guard.terms import GuardTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """One voice that stands out: its rows, how many are contradicted, the others' rate."""

    rows: int
    contradicted: int
    others: float


@dataclass(slots=True)
class Voices:
    """How often each voice was heard and contradicted, by a number of theirs."""

    rows: Counter[int] = field(default_factory=Counter)
    contradicted: Counter[int] = field(default_factory=Counter)

    def outliers(self, terms: GuardTerms) -> dict[int, Outlier]:
        """Who stands out: Fisher's exact test against the others, one side.

        Exact, and not binomial: the others' rate is only an estimate. Bonferroni's bound over all
        voices keeps the chance of a false finding at `alpha`. A sole voice stands out from nobody.
        """
        from scipy.stats import hypergeom

        tried = [voice for voice, count in self.contradicted.items() if count >= terms.voice_least]
        all_rows, all_contradicted = self.rows.total(), self.contradicted.total()
        found = {}
        for voice in tried:
            rows, contradicted = self.rows[voice], self.contradicted[voice]
            if all_rows == rows:
                continue
            others = (all_contradicted - contradicted) / (all_rows - rows)
            chance = hypergeom.sf(contradicted - 1, all_rows, all_contradicted, rows)
            if (
                float(chance) * len(self.rows) < terms.alpha
                and contradicted >= terms.voice_factor * others * rows
            ):
                found[voice] = Outlier(rows=rows, contradicted=contradicted, others=others)
        return found
