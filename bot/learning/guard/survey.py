"""The first look at parent and candidates: what is usual, who says how much, what to count."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bot.learning.datasets.row import Row
from bot.learning.guard.newcomers import Newcomers
from bot.learning.guard.phrases import Sketch, is_astray
from bot.learning.guard.pool import NOBODY, Sample
from bot.learning.guard.reading import code, given_probability, is_labelled, leaning
from bot.learning.guard.shifts import Shares
from bot.learning.guard.terms import GuardTerms
from bot.log.review_scores import text_key


def settled_code(row: Row) -> int:
    """What must be the same for a row of the parent to need no second look."""
    return code(row.turn_id, row.intent, row.emotion)


def changes_protected(row: Row, terms: GuardTerms) -> bool:
    """Whether a row teaches that a text is of a protected intent, or that it is not."""
    if row.intent is None or row.intent == row.predicted:
        return False
    return row.intent in terms.protected or row.predicted in terms.protected


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    count: int = 0


@dataclass(slots=True)
class Survey:
    """Counts and numbers of 64 bits; of texts only the sample, so memory is bounded."""

    terms: GuardTerms
    decided: Mapping[str, str]
    settled: set[int] = field(default_factory=set)
    parent: Shares = field(default_factory=Shares)
    fresh: Shares = field(default_factory=Shares)
    newcomers: Newcomers = field(default_factory=Newcomers)
    # By intent: all its rows. By intent and customer: theirs in the parent, and all of theirs.
    intents: Counter[str] = field(default_factory=Counter)
    before: Counter[int] = field(default_factory=Counter)
    of_customer: Counter[int] = field(default_factory=Counter)
    agents: set[str] = field(default_factory=set)
    # Of labels that touch a protected intent: who said the same of the same words.
    said: dict[int, set[int]] = field(default_factory=dict)
    sketch: Sketch = field(default_factory=Sketch)
    # By label: the mean probability that the model gave it where people chose it.
    _means: dict[str, _Mean] = field(default_factory=lambda: defaultdict(_Mean))
    sample: Sample = field(init=False)

    def __post_init__(self) -> None:
        self.sample = Sample(self.terms)

    def is_fresh(self, row: Row) -> bool:
        """Whether a row is to be judged: nobody has, and the parent has it not as it is."""
        return row.turn_id not in self.decided and settled_code(row) not in self.settled

    def is_newcomer(self, intent: str) -> bool:
        """Whether the parent has next to nothing of an intent."""
        known = self.parent.counts["labelled", intent] + self.parent.counts["pseudo", intent]
        return known < self.terms.known_least

    @property
    def known(self) -> frozenset[str]:
        """The intents that are not new."""
        return frozenset(intent for _, intent in self.parent.counts if not self.is_newcomer(intent))

    @property
    def thresholds(self) -> dict[str, float]:
        """From which probability the model counts as sure of a label: the confident joint's."""
        return {label: mean.total / mean.count for label, mean in self._means.items()}

    def see_parent(self, rows: Iterable[Row]) -> None:
        """Learn what is usual."""
        for row in rows:
            self.settled.add(settled_code(row))
            self.parent.add(row)
            if row.intent is not None:
                self.intents[row.intent] += 1
                person = code(row.intent, row.customer)
                self.before[person] += 1
                self.of_customer[person] += 1
            if is_labelled(row):
                self._see_label(row)
                # It was looked at once: it speaks for anybody's row.
                self.sample.offer(row, author=NOBODY)

    def see_candidates(self, rows: Iterable[Row]) -> None:
        """Learn what is new. Comes after the parent."""
        for row in rows:
            if self.decided.get(row.turn_id) == "rejected":
                continue
            if not self.is_fresh(row):
                if self.decided.get(row.turn_id) == "approved" and is_labelled(row):
                    self.sample.offer(row, author=NOBODY)
                continue
            self._see_fresh(row)

    def _see_fresh(self, row: Row) -> None:
        if row.intent is None:
            return
        self.fresh.add(row, is_new=self.is_newcomer(row.intent))
        self.intents[row.intent] += 1
        self.of_customer[code(row.intent, row.customer)] += 1
        if self.is_newcomer(row.intent):
            self.newcomers.add(row)
        if not is_labelled(row):
            return
        self._see_label(row)
        if row.author is not None:
            self.agents.add(row.author)
        self.sample.offer(row, author=NOBODY if row.author is None else code(row.author))
        if is_astray(row, self.terms):
            self.sketch.add(row.text)

    def _see_label(self, row: Row) -> None:
        if leaning(row) is not None:
            mean = self._means[str(row.intent)]
            mean.total += given_probability(row)
            mean.count += 1
        if row.author is not None and changes_protected(row, self.terms):
            words = code(text_key(row.text), row.intent)
            self.said.setdefault(words, set()).add(code(row.author))

    def agreed(self, row: Row) -> bool:
        """Whether two agents gave the same words the same label."""
        return len(self.said.get(code(text_key(row.text), row.intent), ())) > 1
