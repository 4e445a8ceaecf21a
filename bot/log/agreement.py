"""How far two reviewers agree on the same turns: Cohen's kappa for each kind of label."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, groupby
from typing import Any

from sqlalchemy import Connection, func, select

from bot.log import annotations, tables

KINDS = ("intent", "emotion", "answer", "entities", "usable")
_OUTSIDE = "O"
_WORD = re.compile(r"\S+")

_annotation = tables.annotation
_turn = tables.turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One pair of people and one kind of label; entities are counted word by word."""

    pair: tuple[str, str]
    kind: str
    turns: int
    # What was compared: turns, or the words of turns.
    items: int
    # The share of items with the same label.
    observed: float
    # None where chance alone explains all: both gave one and the same label throughout.
    kappa: float | None


def cohen_kappa(one: Sequence[Any], other: Sequence[Any]) -> float | None:
    """Cohen's kappa of two lists of labels; None when it is not defined.

    After Cohen, "A Coefficient of Agreement for Nominal Scales", 1960.
    """
    count = len(one)
    if count == 0 or count != len(other):
        return None
    observed: float = sum(mine == theirs for mine, theirs in zip(one, other, strict=True)) / count
    ones, others = Counter(one), Counter(other)
    expected: float = sum(ones[label] * others[label] for label in ones) / count**2
    if expected >= 1.0:
        return None
    return (observed - expected) / (1 - expected)


def agreements(connection: Connection, *, since: datetime, until: datetime) -> list[Agreement]:
    """For each pair of people and kind: how far they agree on turns that both labelled.

    Of each author the newest record that stands counts, from the period; settling words do not:
    who settles has read what the others said.
    """
    both = (
        select(_annotation.c.turn_id)
        .where(_annotation.c.created_at >= since, _annotation.c.created_at < until)
        .where(_annotation.c.kind != "revoke", _annotation.c.agent_id.is_not(None))
        .group_by(_annotation.c.turn_id)
        .having(func.count(_annotation.c.agent_id.distinct()) > 1)
    )
    rows = connection.execute(
        select(_annotation, _turn.c.text)
        .join(_turn, _turn.c.id == _annotation.c.turn_id)
        .where(_annotation.c.turn_id.in_(both))
        .order_by(_annotation.c.turn_id, _annotation.c.created_at, _annotation.c.id)
    ).mappings()
    compared: dict[tuple[tuple[str, str], str], _Compared] = {}
    for _, records in groupby(rows, key=lambda row: row["turn_id"]):
        newest = {
            record["agent_id"]: record
            for record in annotations.standing(dict(record) for record in records)
            if not record["settles"]
            and record["agent_id"] is not None
            and since <= record["created_at"] < until
        }
        for mine, theirs in combinations(sorted(newest), 2):
            for kind in KINDS:
                labels = _labels(kind, newest[mine], newest[theirs])
                if labels is not None:
                    compared.setdefault(((mine, theirs), kind), _Compared()).add(*labels)
    return [found.as_agreement(pair, kind) for (pair, kind), found in sorted(compared.items())]


class _Compared:
    """The labels of two people, side by side."""

    def __init__(self) -> None:
        self._ones: list[Any] = []
        self._others: list[Any] = []
        self._turns = 0

    def add(self, ones: Sequence[Any], others: Sequence[Any]) -> None:
        self._ones += ones
        self._others += others
        self._turns += 1

    def as_agreement(self, pair: tuple[str, str], kind: str) -> Agreement:
        same = sum(one == other for one, other in zip(self._ones, self._others, strict=True))
        return Agreement(
            pair=pair,
            kind=kind,
            turns=self._turns,
            items=len(self._ones),
            observed=same / len(self._ones),
            kappa=cohen_kappa(self._ones, self._others),
        )


def _labels(
    kind: str, one: dict[str, Any], other: dict[str, Any]
) -> tuple[Sequence[Any], Sequence[Any]] | None:
    """What two records say of a kind; None unless both say something."""
    if kind == "usable":
        return [one["kind"]], [other["kind"]]
    if one["kind"] != "label" or other["kind"] != "label":
        return None
    if kind == "entities":
        if one["entities"] is None or other["entities"] is None:
            return None
        words = [found.span() for found in _WORD.finditer(one["text"])]
        if not words:
            return None
        return _tags(words, one["entities"]), _tags(words, other["entities"])
    mine, theirs = annotations.compared(one)[kind], annotations.compared(other)[kind]
    return None if mine is None or theirs is None else ([mine], [theirs])


def _tags(words: Sequence[tuple[int, int]], spans: Sequence[dict[str, Any]]) -> list[str]:
    """The entity of each word, or that it is in none."""
    return [
        next(
            (span["entity"] for span in spans if span["start"] < end and start < span["end"]),
            _OUTSIDE,
        )
        for start, end in words
    ]
