"""The second look, at each new labelled row by itself: who contradicts it, what stands out.

Corrections exist because the model was wrong, so its word alone holds nothing back. A label is
suspect when the texts nearest to it that others labelled say something else, and the model does
too: never one witness without the other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.learning.datasets.row import Row
from bot.learning.guard.phrases import Phrases, Trigger
from bot.learning.guard.pool import NOBODY, Pool, Vote
from bot.learning.guard.reading import (
    code,
    given_probability,
    is_contradicted,
    is_labelled,
    leaning,
)
from bot.learning.guard.survey import Survey
from bot.learning.guard.voices import Outlier, Voices

_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What speaks against one label."""

    likely: str
    given: float  # the neighbours' votes for the label, 0 to 1
    share: float  # and for the likely one
    probability: float  # what the model gave the label
    error: bool  # enough to hold it back whoever said it


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was found, by the number of the row or the voice's number."""

    against: dict[int, Against]
    agents: dict[int, Outlier]
    customers: dict[int, Outlier]
    triggers: dict[tuple[str, str], Trigger]


def weigh(rows: Iterable[Row], parent: Iterable[Row], survey: Survey) -> Evidence:
    """Look at the candidates again, and at the parent where there are phrases to look for."""
    terms = survey.terms
    frequent = survey.sketch.frequent(least=terms.phrase_least, most=terms.phrases)
    phrases = Phrases(frequent, terms)
    agents, customers = Voices(), Voices()
    against = {}
    contradicted = _Contradicted(survey)
    for index, row in enumerate(rows):
        if not survey.is_fresh(row):
            continue
        if not is_labelled(row):
            continue
        phrases.add(row)
        customers.rows[code(row.customer)] += 1
        if row.author is not None:
            agents.rows[code(row.author)] += 1
        for at, judged, found in contradicted.add(index, row):
            against[at] = found
            _count(judged, found, agents, customers)
    for at, judged, found in contradicted.rest():
        against[at] = found
        _count(judged, found, agents, customers)
    if phrases.is_needed:
        phrases.seen_before(parent)
    return Evidence(
        against=against,
        agents=agents.outliers(terms),
        customers=customers.outliers(terms),
        triggers=phrases.triggers(survey.known),
    )


def _count(row: Row, found: Against, agents: Voices, customers: Voices) -> None:
    if not found.error:
        return
    customers.contradicted[code(row.customer)] += 1
    if row.author is not None:
        agents.contradicted[code(row.author)] += 1


class _Contradicted:
    """Asks the neighbours about the rows that the model contradicts, a batch at a time."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._terms = survey.terms
        self._pool: Pool = survey.sample.freeze()
        self._thresholds = survey.thresholds
        self._waiting: list[tuple[int, Row]] = []

    def add(self, index: int, row: Row) -> Iterator[tuple[int, Row, Against]]:
        """Take a row in; what is found of those that waited, when they are enough."""
        if is_contradicted(row):
            self._waiting.append((index, row))
            if len(self._waiting) >= _BATCH:
                yield from self.rest()

    def rest(self) -> Iterator[tuple[int, Row, Against]]:
        """What is found of those that wait."""
        waiting, self._waiting = self._waiting, []
        # A sole agent has nobody to be compared with but themselves.
        alone = len(self._survey.agents) < 2
        authors = [
            NOBODY if alone or row.author is None else code(row.author) for _, row in waiting
        ]
        votes = self._pool.votes([row for _, row in waiting], authors=authors)
        for (index, row), vote in zip(waiting, votes, strict=True):
            found = None if vote is None else self._judge(row, vote)
            if found is not None:
                yield index, row, found

    def _judge(self, row: Row, vote: Vote) -> Against | None:
        terms, probability = self._terms, given_probability(row)
        if vote.given > terms.voice_given_most or vote.share < terms.likely_least:
            return None
        unthought = vote.given <= terms.given_most and probability <= terms.probability_most
        sure = vote.share >= terms.sure_least and self._is_confident_of(row, vote.likely)
        return Against(
            likely=vote.likely,
            given=round(vote.given, 4),
            share=round(vote.share, 4),
            probability=round(probability, 4),
            error=unthought or sure,
        )

    def _is_confident_of(self, row: Row, likely: str) -> bool:
        """Whether the confident joint counts the row for the label that the neighbours name."""
        least = self._thresholds.get(likely, float("inf"))
        return leaning(row) == likely and row.ranking.get(likely, 0.0) >= least
