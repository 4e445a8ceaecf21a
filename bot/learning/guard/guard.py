"""Inspects what was harvested: writes what may be learned, tells what is to be looked at first.

Three passes over the candidates, two over the parent: what is usual, what stands out, the verdict;
two more over the candidates where an intent's share has shifted. Only counts, numbers and a sample
of texts are kept between them.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from bot.learning.datasets.row import Row
from bot.learning.guard.evidence import Evidence, weigh
from bot.learning.guard.held import Held, Reason, strongest
from bot.learning.guard.phrases import trigger_in
from bot.learning.guard.reading import (
    code,
    is_contradicted,
    is_labelled,
    leaning,
    lines_of,
    rows_of,
)
from bot.learning.guard.shifts import Shares, Shift, Surplus, find_shifts
from bot.learning.guard.survey import Survey, changes_protected
from bot.learning.guard.terms import GuardTerms
from bot.learning.guard.voices import Outlier

Detail = dict[str, Any]


def inspect(
    candidates: Path,
    kept: Path,
    *,
    parent_rows: Callable[[], Iterable[Row]],
    decided: Mapping[str, str],
    terms: GuardTerms,
) -> list[Held]:
    """What is held back of `candidates`; the rest is in `kept`, whole or not at all.

    `parent_rows` gives the rows of the last version of the data, again each time it is called. What
    stands there as it is, or was approved, passes; what was rejected (`decided`, by turn) is
    neither kept nor held. Test rows are looked at as any other. Raises CandidateUnreadable.
    """
    survey = Survey(terms=terms, decided=decided)
    survey.see_parent(parent_rows())
    survey.see_candidates(rows_of(candidates))
    evidence = weigh(rows_of(candidates), parent_rows(), survey)
    surplus = _surplus(candidates, survey, evidence)
    verdicts = _Verdicts(survey, evidence, surplus)
    held = []
    part = kept.with_name(kept.name + ".part")
    with part.open("w", encoding="utf-8") as out:
        for index, (line, row) in enumerate(lines_of(candidates)):
            if decided.get(row.turn_id) == "rejected":
                continue
            found = verdicts.reasons(index, row) if survey.is_fresh(row) else {}
            if found:
                held.append(strongest(row, found))
            else:
                verdicts.keep(row)
                out.write(line if line.endswith("\n") else line + "\n")
        out.flush()
        os.fsync(out.fileno())
    part.replace(kept)
    return held


def _surplus(candidates: Path, survey: Survey, evidence: Evidence) -> dict[int, Shift]:
    """By the number of the row: the shift that it is too many of.

    A shift is what is left of it when the rows that are held for their own sake are taken away.
    """
    if not find_shifts(survey.parent, survey.fresh, survey.terms):
        return {}
    own, left = _Verdicts(survey, evidence, {}), Shares()
    for index, row in _fresh(candidates, survey):
        if not own.is_bad(index, row):
            left.add(row, is_new=survey.is_newcomer(str(row.intent)))
    surplus = Surplus(find_shifts(survey.parent, left, survey.terms))
    for index, row in _fresh(candidates, survey):
        if not own.is_bad(index, row):
            of_customer = survey.of_customer[code(row.intent, row.customer)]
            is_new = survey.is_newcomer(str(row.intent))
            surplus.offer(index, row, of_customer=of_customer, is_new=is_new)
    return surplus.rows()


def _fresh(candidates: Path, survey: Survey) -> Iterator[tuple[int, Row]]:
    return ((at, row) for at, row in enumerate(rows_of(candidates)) if survey.is_fresh(row))


class _Verdicts:
    """Says of each new row, in their order, what speaks for holding it back."""

    def __init__(self, survey: Survey, evidence: Evidence, surplus: Mapping[int, Shift]) -> None:
        self._survey = survey
        self._terms = survey.terms
        self._evidence = evidence
        self._surplus = surplus
        self._kept_of: Counter[int] = Counter()
        self._new_of: Counter[int] = Counter()

    def reasons(self, index: int, row: Row) -> dict[Reason, Detail]:
        """Every reason, with what a person needs to judge it."""
        found: dict[Reason, Detail | None] = {
            "trigger": self._trigger(row),
            "label_error": self._label_error(index),
            "influence": self._influence(index, row),
            "class_shift": self._class_shift(index, row),
            "protected": self._protected(row),
        }
        return {reason: detail for reason, detail in found.items() if detail is not None}

    def is_bad(self, index: int, row: Row) -> bool:
        """Whether a row is held for what it says itself."""
        return self._trigger(row) is not None or self._label_error(index) is not None

    def keep(self, row: Row) -> None:
        """Count a row that is learned towards its customer's part."""
        if self._survey.is_fresh(row):
            self._kept_of[code(row.intent, row.customer)] += 1
            self._new_of[code(row.customer)] += 1

    def _trigger(self, row: Row) -> Detail | None:
        if not is_labelled(row):
            return None
        found = trigger_in(row, self._evidence.triggers)
        if found is None:
            return None
        return {
            "phrase": found.phrase,
            "intent": found.intent,
            "rows": found.rows,
            "spread": found.spread,
            "before": found.before,
        }

    def _label_error(self, index: int) -> Detail | None:
        found = self._evidence.against.get(index)
        if found is None or not found.error:
            return None
        return {
            "likely": found.likely,
            "neighbours": found.share,
            "given": found.given,
            "probability": found.probability,
        }

    def _influence(self, index: int, row: Row) -> Detail | None:
        if is_contradicted(row):
            # An agent is there to contradict the model: the neighbours must, too.
            if row.author is not None and index in self._evidence.against:
                outlier = self._evidence.agents.get(code(row.author))
                if outlier is not None:
                    return _of_outlier("agent", outlier, row)
            outlier = self._evidence.customers.get(code(row.customer))
            if outlier is not None:
                return _of_outlier("customer", outlier, row)
        if row.intent is not None:
            of_intent = self._survey.intents[row.intent]
            most = max(self._terms.customer_least, int(self._terms.customer_share * of_intent))
            person = code(row.intent, row.customer)
            if self._survey.before[person] + self._kept_of[person] >= most:
                rows = self._survey.of_customer[person]
                return {"by": "customer", "rows": rows, "of": of_intent, "most": most}
        if self._new_of[code(row.customer)] >= self._terms.customer_most:
            return {"by": "customer", "most": self._terms.customer_most}
        return None

    def _class_shift(self, index: int, row: Row) -> Detail | None:
        shift = self._surplus.get(index)
        if shift is not None:
            return {
                "kind": shift.kind,
                "intent": shift.key[1],
                "before": shift.before,
                "now": shift.now,
                "surplus": shift.surplus,
            }
        if row.intent is None or not self._survey.is_newcomer(row.intent):
            return None
        return self._survey.newcomers.reason(row, self._terms, agents=len(self._survey.agents))

    def _protected(self, row: Row) -> Detail | None:
        if not changes_protected(row, self._terms) or self._survey.agreed(row):
            return None
        return {"predicted": row.predicted, "intent": row.intent}


def _of_outlier(by: Literal["agent", "customer"], found: Outlier, row: Row) -> Detail:
    return {
        "by": by,
        "rows": found.rows,
        "contradicted": found.contradicted,
        "others": round(found.others, 4),
        "likely": leaning(row),
    }
