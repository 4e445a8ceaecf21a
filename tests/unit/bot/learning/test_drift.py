"""The drift watch on simulated weeks: quiet where days only differ as days do, awake otherwise."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.learning.drift import Days, DriftTerms, look
from bot.log.drift_blocks import Block

Floats = NDArray[np.float64]
# Day (0: the last) and its mix of intents, confidence and share of fallbacks -> the same, changed.
Change = Callable[[int, Floats, float, float], tuple[Floats, float, float]]
INTENTS, DIM = 30, 16
# Fewer permutations than a real look: the tests are to be quick.
TERMS = replace(DriftTerms(), permutations=1_000)


def unchanged(day: int, mix: Floats, sure: float, lost: float) -> tuple[Floats, float, float]:
    return mix, sure, lost


def days(seed: int, change: Change = unchanged, *, count: int = 29, turns: int = 700) -> Days:
    """So many days: weekends of their own, and days that differ beyond what chance gives."""
    draw = np.random.default_rng(seed)
    usual = draw.dirichlet(np.ones(INTENTS))
    week = draw.normal(0, 0.3, (2, INTENTS))
    # What all messages to one shop have in common, and what each intent has besides.
    topics = 1.0 + draw.normal(size=(INTENTS, DIM))
    blocks, embeddings = [], []
    for day in range(count):
        mix = usual * np.exp(week[int(day % 7 in (5, 6))])
        mix = draw.dirichlet(300 * mix / mix.sum() + 1e-3)
        sure, lost = 0.85 + draw.normal(0, 0.01), 0.06 * np.exp(draw.normal(0, 0.2))
        mix, sure, lost = change(day, mix, sure, lost)
        number = int(draw.integers(turns // 3, turns))
        counts = draw.multinomial(number, mix)
        blocks.append(
            Block(
                turns=number,
                intents=Counter({f"i{i}": int(n) for i, n in enumerate(counts) if n}),
                versions=Counter({"v1": number}),
                fallbacks=int(draw.binomial(number, lost)),
                confidences=draw.beta(6 * sure, 6 * (1 - sure), number).tolist(),
            )
        )
        words = topics[draw.choice(INTENTS, 24, p=mix)] + draw.normal(size=(24, DIM))
        embeddings.append((words / np.linalg.norm(words, axis=1, keepdims=True)).mean(axis=0))
    return Days(blocks=blocks, embeddings=embeddings[:22])


def test_ordinary_weeks_raise_hardly_an_alarm() -> None:
    # One look in 200 by the terms, five kinds together: of 30, more than 1 once in 100 times.
    looks = [look(days(seed), TERMS, seed=seed) for seed in range(30)]
    assert sum(bool(found.alarms) for found in looks) <= 1
    measured = [kind for kind, scales in looks[0].figures.items() if "day" in scales]
    assert sorted(measured) == [
        "confidence",
        "embedding",
        "intents",
        "one_intent",
        "out_of_scope",
    ]


def surge(day: int, mix: Floats, sure: float, lost: float) -> tuple[Floats, float, float]:
    """Today a third asks the same."""
    if day:
        return mix, sure, lost
    rest = mix.copy()
    rest[3] = 0
    rest *= 0.66 / rest.sum()
    rest[3] = 0.34
    return rest, sure, lost


def unsure(day: int, mix: Floats, sure: float, lost: float) -> tuple[Floats, float, float]:
    return mix, sure - 0.15 * (day == 0), lost


def slowly_unsure(day: int, mix: Floats, sure: float, lost: float) -> tuple[Floats, float, float]:
    return mix, sure - 0.03 * (day < 7), lost


def lost_today(day: int, mix: Floats, sure: float, lost: float) -> tuple[Floats, float, float]:
    return mix, sure, lost * (5 if day == 0 else 1)


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        (surge, "one_intent (day)"),
        (unsure, "confidence (day)"),
        (slowly_unsure, "confidence (week)"),
        (lost_today, "out_of_scope (day)"),
    ],
)
def test_a_change_is_noticed(change: Change, alarm: str) -> None:
    found = [look(days(seed, change), TERMS, seed=seed) for seed in range(5)]
    assert sum(alarm in one.alarms for one in found) >= 4


def test_other_words_are_noticed_also_where_the_intents_stay_the_same() -> None:
    given = days(3)
    assert not [one for one in look(given, TERMS).alarms if one.startswith("embedding")]
    away = np.zeros(DIM)
    away[0] = 1.0
    moved = replace(given, embeddings=[away, *given.embeddings[1:]])
    assert "embedding (day)" in look(moved, TERMS).alarms


def test_a_new_version_is_not_compared_with_the_one_before() -> None:
    given = days(1, unsure)
    for block in given.blocks[:3]:
        block.versions = Counter({"v2": block.turns})
    found = look(given, TERMS)
    assert found.model_version == "v2"
    for kind in ("intents", "one_intent", "confidence", "out_of_scope"):
        assert "v2 answers for 3 days" in found.figures[kind]["skipped"]
    # What was said is, whoever understood it.
    assert "day" in found.figures["embedding"]


def test_a_quiet_day_says_nothing() -> None:
    given = days(1)
    given.blocks[0].turns = 10
    found = look(given, TERMS)
    assert found.as_json() == {
        "model_version": "v1",
        "alarm": False,
        "alarms": [],
        "figures": {"all": {"skipped": "only 10 turns in the last day"}},
    }


def test_days_without_words_are_left_out() -> None:
    given = days(2, count=10)
    assert "day" in look(given, TERMS).figures["embedding"]
    few = replace(given, embeddings=[*given.embeddings[:3], None, None, None])
    assert "skipped" in look(few, TERMS).figures["embedding"]
    none = replace(given, embeddings=[None, *given.embeddings[1:]])
    assert "skipped" in look(none, TERMS).figures["embedding"]
    # Ten days are no week against the weeks before.
    assert "week" not in look(given, TERMS).figures["confidence"]


def test_the_same_days_give_the_same() -> None:
    assert look(days(5), TERMS).as_json() == look(days(5), TERMS).as_json()
