"""A made-up log for the guard: intents with words of their own, and a model that knows them."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.learning.datasets.row import Row
from bot.learning.guard.guard import inspect
from bot.learning.guard.held import Held
from bot.learning.guard.terms import GuardTerms

INTENTS = tuple(f"intent_{letter}" for letter in "abcdefghijkl")
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so")
_COMMON = ("please", "hello", "about", "could", "today", "thanks")


def words_of(intent: str) -> list[str]:
    """The words that only this intent has."""
    draw = random.Random(intent)
    return ["".join(draw.choices(_SYLLABLES, k=3)) for _ in range(8)]


def text_of(intent: str, draw: random.Random) -> str:
    words = draw.sample(words_of(intent), 4) + draw.sample(_COMMON, 2)
    draw.shuffle(words)
    return " ".join(words)


def make(
    number: int | str, topic: str, draw: random.Random, /, *, wrong: bool = False, **changes: Any
) -> Row:
    """A corrected row; the model is sure of the topic, or (`wrong`) of another one."""
    other = draw.choice([name for name in INTENTS if name != topic])
    predicted, second = (other, topic) if wrong else (topic, other)
    row = Row(
        turn_id=f"t{number}",
        conversation_id=f"c{number}",
        customer=f"customer {number}",
        text=text_of(topic, draw),
        source="corrected",
        at=f"2026-03-01T00:00:00.{number}",
        intent=topic,
        author=f"agent {draw.randrange(4)}",
        predicted=predicted,
        confidence=0.8,
        ranking={predicted: 0.8, second: 0.15},
    )
    return replace(row, **changes)


def week(
    name: str, draw: random.Random, *, each: int = 20, wrong: float = 0.2, **changes: Any
) -> list[Row]:
    """An honest week: `each` rows an intent, of which the model got a share wrong."""
    return [
        make(f"{name}{at}{intent[-1]}", intent, draw, wrong=draw.random() < wrong, **changes)
        for at in range(each)
        for intent in INTENTS
    ]


class Guarded:
    """What an inspection came to."""

    def __init__(self, kept: list[Row], held: list[Held]) -> None:
        self.kept = kept
        self.kept_turns = {row.turn_id for row in kept}
        self.held = {one.turn_id: one for one in held}

    def reasons(self, rows: Iterable[Row]) -> list[str | None]:
        """Why each of the rows was held; None for those that are kept."""
        return [self.held[row.turn_id].reason if row.turn_id in self.held else None for row in rows]

    def passed(self, rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if row.turn_id in self.kept_turns]


def guard(
    folder: Path,
    rows: Sequence[Row],
    *,
    parent: Sequence[Row] = (),
    decided: Mapping[str, str] | None = None,
    terms: GuardTerms | None = None,
) -> Guarded:
    """Inspect rows as a run does."""
    candidates, kept = folder / "candidates.jsonl", folder / "kept.jsonl"
    candidates.write_text("".join(row.as_line() for row in rows), encoding="utf-8")
    held = inspect(
        candidates,
        kept,
        parent_rows=lambda: iter(parent),
        decided=decided or {},
        terms=terms or GuardTerms(),
    )
    lines = kept.read_text(encoding="utf-8").splitlines(keepends=True)
    return Guarded([Row.of_line(line) for line in lines], held)
