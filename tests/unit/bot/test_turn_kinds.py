"""Kinds of turns, and the bits that tell which a conversation cannot have."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.log.turn_kinds import (
    emotion_bits,
    feature_bits,
    intent_bits,
    is_fallback,
    kind_of,
    pair_bits,
    step_of,
    version_bits,
)

LABELS = st.one_of(st.none(), st.text(max_size=20))


@pytest.mark.parametrize("step", range(1, 20))
def test_below_a_step_is_what_is_less_than_it(step: int) -> None:
    bound = step / 20
    assert step_of(bound) == step
    assert step_of(bound - 0.0001) == step - 1


@pytest.mark.parametrize(
    ("confidence", "step"),
    [(None, -1), (0.0, 0), (1.0, 19), (1.2, 19), (math.nan, -1), (math.inf, -1)],
)
def test_the_ends_of_the_scale(confidence: float | None, step: int) -> None:
    assert step_of(confidence) == step


def test_a_fallback_is_told_by_intent_or_action() -> None:
    assert is_fallback("nlu_fallback", None)
    assert is_fallback("track_order", ["action_default_fallback"])
    assert not is_fallback("track_order", ["action_answer"])
    assert not is_fallback(None, None)


@given(intent=LABELS, emotion=LABELS, version=LABELS, confidence=st.floats(0, 1))
def test_a_kind_fits_a_column_and_sets_the_bits_of_all_it_has(
    intent: str | None, emotion: str | None, version: str | None, confidence: float
) -> None:
    kind = kind_of(
        intent=intent, emotion=emotion, model_version=version, actions=[], confidence=confidence
    )
    assert 0 <= kind.id < 2**63
    assert 0 < intent_bits(kind.intent) < 2**62
    bits = feature_bits(kind)
    assert 0 < bits < 2**62
    for part in (
        emotion_bits(kind.emotion),
        version_bits(kind.model_version),
        pair_bits(kind.intent, kind.emotion),
    ):
        assert bits & part == part


def test_kinds_differ_where_their_parts_do() -> None:
    def id_of(**changes: object) -> int:
        usual = {
            "intent": "a",
            "emotion": "b",
            "model_version": "c",
            "actions": [],
            "confidence": 0.5,
        }
        return kind_of(**(usual | changes)).id  # type: ignore[arg-type]

    ids = {
        id_of(),
        id_of(intent="ab", emotion=""),
        id_of(intent=None),
        id_of(model_version="d"),
        id_of(actions=["action_default_fallback"]),
        id_of(confidence=0.9),
        id_of(confidence=None),
    }
    assert len(ids) == 7
    assert id_of() == id_of(confidence=0.51)
