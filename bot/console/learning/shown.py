"""Verdicts, trials and versions of the data in rows that a page can show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The worst first: what decided is read before what was well.
LEVELS = ("refuse", "hold", "promote", "note", "pass")
HARMS = ("fallback", "handoff", "upset", "bad_rating", "slow", "error")
MOST_INTENTS = 20
MAX_SENTENCE = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason of a verdict: what was looked at, what it speaks for, the sentence."""

    name: str
    level: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many rows of a kind a version has, and its parent had."""

    name: str
    now: int
    before: int

    @property
    def difference(self) -> int:
        """More is positive."""
        return self.now - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a trial."""

    version: str
    conversations: int
    # What happened in so many of them, by kind.
    harms: Mapping[str, int]
    rating: float | None
    understanding_ms: float | None

    def share(self, harm: str) -> float | None:
        """Of its conversations; None where it has none."""
        return self.harms.get(harm, 0) / self.conversations if self.conversations else None


def findings(verdict: Mapping[str, Any] | None) -> list[Finding]:
    """The reasons of a verdict, whether they are sentences alone or more."""
    if verdict is None:
        return []
    decision = str(verdict.get("decision", ""))
    found = []
    for one in verdict.get("reasons") or ():
        if isinstance(one, Mapping):
            found.append(
                Finding(
                    name=str(one.get("name", "")),
                    level=str(one.get("level", decision)),
                    sentence=str(one.get("sentence", ""))[:MAX_SENTENCE],
                )
            )
        else:
            found.append(Finding(name="", level=decision, sentence=str(one)[:MAX_SENTENCE]))
    order = {level: place for place, level in enumerate(LEVELS)}
    return sorted(found, key=lambda one: order.get(one.level, len(LEVELS)))


def counted(
    counts: Mapping[str, Any], before: Mapping[str, Any] | None, kind: str
) -> list[Counted]:
    """How many rows a version has of each value of a kind, beside its parent's.

    Without a parent all of them are new.
    """
    mine, theirs = counts.get(kind) or {}, (before or {}).get(kind) or {}
    rows = [
        Counted(name=name, now=int(mine.get(name, 0)), before=int(theirs.get(name, 0)))
        for name in {*mine, *theirs}
    ]
    return sorted(rows, key=lambda one: (-abs(one.difference), -one.now, one.name))


def sides(trial: Mapping[str, Any]) -> list[Side]:
    """Both sides of a trial as its report has them; none before the first look at it."""
    told = (trial.get("report") or {}).get("sides") or {}
    return [_side(told[name]) for name in ("active", "trial") if name in told]


def standing(trial: Mapping[str, Any]) -> str | None:
    """How a canary stands, in the live guard's words."""
    said = (trial.get("report") or {}).get("standing")
    return None if said is None else str(said)


def changed_intents(rows: Sequence[Counted]) -> tuple[list[Counted], int]:
    """The intents that changed most, and how many more changed."""
    changed = [one for one in rows if one.difference]
    return changed[:MOST_INTENTS], max(0, len(changed) - MOST_INTENTS)


def _side(told: Mapping[str, Any]) -> Side:
    return Side(
        version=str(told["version"]),
        conversations=int(told["conversations"]),
        harms=told.get("harms") or {},
        rating=told.get("rating"),
        understanding_ms=told.get("understanding_ms"),
    )
