"""What a challenger has to keep to; each bound with its reason."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofTerms:
    """The bounds of a proof."""

    # How often a version that is no better may pass by chance, at most. The company's to choose.
    alpha: float = 0.05
    # Of the loss of accuracy over all texts. A loss missed is worse than a good version refused,
    # which comes back next week with more data: so no smaller than alpha is by default.
    loss_alpha: float = 0.05
    # Of each further test of a loss. There are five: at 0.05 each, one in four good versions would
    # be refused by chance; at 0.01 it is one in twenty at most.
    side_alpha: float = 0.01
    # Intents that must not get worse at all, with the least recall of each.
    protected: Mapping[str, float] = field(default_factory=dict)
    # Where the frozen set shows a loss, one of so much must be ruled out: half of the 2 points that
    # a person would notice in a week, with the texts that a test set usually has.
    frozen_margin: float = 0.02
    # Calibration error may grow by so much. Of two versions alike, 99 in 100 pairs differ by less
    # than 0.027 on 368 texts (measured, see docs/guide/learning-proof.md), and by 0.011 on 3,000.
    calibration_worse: float = 0.03
    # AUROC and the share of texts turned away may fall by so much, whatever is significant: what
    # is smaller nobody would notice.
    auroc_worse: float = 0.02
    turned_away_worse: float = 0.05
    # Of a version against itself the ratio was 0.99 to 1.04 in twelve runs, with twelve processes
    # on two cores. Where int8 costs accuracy some layers stay float, at 1.35 times the time: that
    # is a price for being right; all of it float takes twice as long.
    latency_ratio: float = 1.5
    # A version grows by the rows of its new labels and texts, that is by percents. The float graph
    # in the place of the int8 one is half as much again.
    size_ratio: float = 1.25
    # More changed predictions than this a test set does not vouch for: a retraining on a week's
    # data changes 2 to 6 in 100.
    shadow_changed: float = 0.15
    # Of fewer messages a share says little: one more or less is a point.
    shadow_least: int = 100
    # Draws of the bootstrap: the error of a 95 % bound is then a hundredth of the interval.
    draws: int = 2_000

    @property
    def both_looks(self) -> float:
        """What the p-values of the test texts and of what people said later come to, at most.

        The second look passes half of alpha of what the first did not: of what is no better the
        p-values are even, so their product is below c where the first is above alpha in
        c * -ln(alpha) of all (Bauer and Koehne, "Evaluation of experiments with adaptive interim
        analyses", Biometrics 50, 1994).
        """
        return self.alpha / 2 / -math.log(self.alpha)

    @classmethod
    def of(cls, settings: Settings) -> "ProofTerms":
        """The terms with what the company has set."""
        return cls(alpha=settings.learn_alpha, protected=dict(settings.learn_protected))
