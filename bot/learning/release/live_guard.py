"""The live guard: whether a canary does harm, is good enough for everyone, or needs time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from bot.learning.release.evidence import evidence, together
from bot.learning.release.sides import HARMS, Sides

ALPHA = 0.05  # how often, at most, a canary that is no worse is rolled back
# Evidence at which a canary is not yet rolled back, but does not go to everyone either.
DOUBT = 4.0
Decision = Literal["roll_back", "promote", "wait"]
_WORDS = {
    "fallback": "messages that were not understood",
    "handoff": "calls for a person because the bot failed",
    "upset": "upset customers",
    "bad_rating": "bad ratings",
    "slow": "slow understanding",
    "error": "failed turns",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTerms:
    """How much a canary must have shown before it is for everyone."""

    canary_h: float = 24.0
    canary_conversations: int = 200
    share: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is to be done with a canary, why, and the figures of both sides."""

    decision: Decision
    reason: str
    report: dict[str, Any]


def judge(row: dict[str, Any], sides: Sides, terms: ReleaseTerms, now: datetime) -> Judgement:
    """A canary by what has happened in its conversations and in the others since it began."""
    found = {
        harm: evidence(
            trial=sides.trial.events[harm],
            total=sides.trial.events[harm] + sides.active.events[harm],
            share=row["share"],
        )
        for harm in HARMS
    }
    total = together(found.values())
    worst = max(found, key=lambda harm: found[harm])
    report = figures(row, sides, now) | {
        "evidence": {harm: _rounded(value) for harm, value in found.items()},
        "evidence_together": _rounded(total),
        "bound": 1 / ALPHA,
    }
    decision, reason = _decide(row, sides, terms, now, total=total, worst=worst)
    return Judgement(decision=decision, reason=reason, report=report | {"standing": reason})


def _decide(
    row: dict[str, Any],
    sides: Sides,
    terms: ReleaseTerms,
    now: datetime,
    *,
    total: float,
    worst: str,
) -> tuple[Decision, str]:
    if total >= 1 / ALPHA:
        return "roll_back", f"more {_WORDS[worst]}: {_compared(sides, worst)}"
    left = row["created_at"] + timedelta(hours=terms.canary_h) - now
    if left > timedelta():
        return "wait", f"nothing is worse so far; {left.total_seconds() / 3600:.1f} hours to go"
    missing = terms.canary_conversations - sides.trial.served
    if missing > 0:
        return "wait", f"nothing is worse so far; {missing} conversations to go"
    if total >= DOUBT:
        return "wait", f"in doubt for {_WORDS[worst]}: {_compared(sides, worst)}"
    return "promote", (
        f"nothing is worse after {sides.trial.conversations} conversations "
        f"beside {sides.active.conversations}"
    )


def figures(row: dict[str, Any], sides: Sides, now: datetime) -> dict[str, Any]:
    """Both sides as a report keeps them; it names no conversation."""
    return {
        "since": row["created_at"].isoformat(),
        "until": now.isoformat(),
        "slow_ms": (row["report"] or {}).get("slow_ms"),
        "sides": {
            name: {
                "version": version,
                "conversations": side.conversations,
                "served": side.served if name == "trial" else side.conversations - side.served,
                "harms": {harm: side.events[harm] for harm in HARMS},
                "rated": side.rated,
                "rating": _rounded(side.rating.mean),
                "understanding_ms": _rounded(side.understanding_ms.mean),
            }
            for name, side, version in (
                ("active", sides.active, row["previous"]),
                ("trial", sides.trial, row["version"]),
            )
        },
    }


def _compared(sides: Sides, harm: str) -> str:
    parts = []
    for side in (sides.trial, sides.active):
        share = side.events[harm] / side.conversations if side.conversations else 0.0
        parts.append(f"{share:.1%} of {side.conversations}")
    return f"{parts[0]} conversations, {parts[1]} others"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
