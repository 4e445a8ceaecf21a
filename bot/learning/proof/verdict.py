"""The verdict on a challenger: promote, hold for a person, or refuse; and why."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bot.learning.proof import gains, guards, losses
from bot.learning.proof.bootstrap import Resampling
from bot.learning.proof.evidence import Evidence
from bot.learning.proof.reason import Reason
from bot.learning.proof.terms import ProofTerms

Decision = Literal["promote", "hold", "refuse"]
Guard = Callable[[Evidence, ProofTerms, Resampling], list[Reason]]
# What a few labels of messages that both take differently can settle.
SETTLED_BY_LABELS = frozenset({"gain", "frozen", "shadow"})

# In the order in which a person reads them.
GUARDS: tuple[Guard, ...] = (
    gains.gain,
    gains.new_intents,
    gains.asked,
    losses.loss,
    losses.frozen,
    losses.new_data,
    losses.macro,
    losses.protected,
    losses.emotions,
    losses.spans,
    guards.labels,
    guards.calibration,
    guards.out_of_scope,
    guards.latency,
    guards.size,
    guards.mode,
    guards.shadow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to become of a challenger; it holds no customer's text."""

    decision: Decision
    reasons: Sequence[Reason]
    figures: dict[str, Any]

    @property
    def may_be_asked(self) -> bool:
        """Whether it is held for nothing but want of evidence, which labels of messages are."""
        holds = {one.name for one in self.reasons if one.level == "hold"}
        return self.decision == "hold" and holds <= SETTLED_BY_LABELS

    @property
    def because(self) -> list[str]:
        """The sentences that decided."""
        return [one.sentence for one in self.reasons if one.level == self.decision]

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain values."""
        return {
            "decision": self.decision,
            "reasons": [asdict(one) for one in self.reasons],
            "figures": self.figures,
        }


def judge(evidence: Evidence, terms: ProofTerms, *, seed: int) -> Verdict:
    """Look at the evidence from every side; the worst that is found decides.

    A challenger is promoted for a proven gain, for new intents or by what people said of messages
    that both take differently; it is refused for a loss, and held in between.
    """
    how = Resampling(draws=terms.draws, seed=seed)
    reasons = [one for guard in GUARDS for one in guard(evidence, terms, how)]
    levels = {one.level for one in reasons}
    decision: Decision = "promote"
    if "refuse" in levels:
        decision = "refuse"
    elif "hold" in levels or "promote" not in levels:
        decision = "hold"
    return Verdict(
        decision=decision,
        reasons=reasons,
        figures={one.name: one.figures for one in reasons if one.figures},
    )
