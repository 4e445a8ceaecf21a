"""What the guard takes for poison or a mistake; a reason beside each bound."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.settings import Settings

# Texts to unit vectors, (texts, dim).
Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardTerms:
    """The guard's bounds; those of label errors and phrases were tuned on banking77's train set.

    Without `embed`, texts are compared by their letters (`likeness.lexical`): that needs no model,
    and is a witness that shares no mistake with the model.
    """

    protected: frozenset[str] = frozenset()
    embed: Embed | None = None
    # How often a run without poison may have a finding of one kind by chance, over all its tests.
    alpha: float = 0.001

    # Label errors. Fewer neighbours let one wrong neighbour decide, more reach into other intents.
    neighbours: int = 10
    # The given label's part of their votes: hardly one far neighbour of ten.
    given_most: float = 0.02
    # The likely label's: a third of them agree on it. At half, every fifteenth flip more got in.
    likely_least: float = 0.3
    # What the model gave the label. Corrections contradict the model: what it held for possible
    # (review shows the unsure ones) is not held back.
    probability_most: float = 0.05
    # Or: the confident joint counts the row for the very intent that the neighbours name so
    # clearly. Of flips to a like intent 15 of 100 more were found, of honest rows 0.2 more held.
    sure_least: float = 0.7
    # So many rows of the label by others, or nobody can speak for it.
    support_least: int = 3
    # Compared with so many rows, of each intent as many: 61 MB, and a tenth of a second a batch.
    pool_rows: int = 20_000
    pool_per_intent: int = 200

    # Voices (agents, customers). An agent may be wrong twice as often as the others for reasons of
    # their shift or their topics.
    voice_factor: float = 2.0
    voice_least: int = 5
    # Once someone stands out, less speaks against each of their labels.
    voice_given_most: float = 0.1
    # Of an intent's rows, one customer's; three are nobody's campaign.
    customer_share: float = 0.05
    customer_least: int = 3
    # Of all new rows, one customer's; as the harvest.
    customer_most: int = 20

    # Shifts. A share doubles in ordinary weeks; a few rows triple by chance.
    shift_factor: float = 3.0
    shift_least: int = 30
    # A smaller parent says little of what is usual.
    base_least: int = 200
    # An intent with fewer rows in the parent is new.
    known_least: int = 5
    # One voice's part of a new intent from which it is theirs.
    most: float = 0.5

    # Phrases. Fewer than five rows prove nothing at this alpha (eight or so do).
    phrase_least: int = 5
    # So much of the rows that carry it, and that the model took for something else, has the label.
    phrase_precision: float = 0.8
    # So much more frequent than in the parent (of `base_least` rows or more).
    phrase_novelty: float = 3.0
    # The model took them for so many intents (the effective number, the inverse of Simpson's sum).
    # An honest word lies in one topic; ordinary corrections of known intents stayed under 3.
    phrase_spread: float = 3.0
    # Texts of a new intent lie anywhere among the known ones: up to 7.5 in ten new intents.
    phrase_spread_new: float = 10.0
    # What the model gave the label, at most, in such a row.
    phrase_probability: float = 0.1
    # Counted exactly, at most: 50 MB. What is rarer than the most frequent so many is not seen.
    phrases: int = 50_000

    @classmethod
    def of(cls, settings: Settings, *, embed: Embed | None = None) -> "GuardTerms":
        """The terms of a running system."""
        return cls(
            protected=frozenset(settings.learn_protected),
            embed=embed,
            customer_most=settings.learn_per_customer,
        )
