"""Kinds of turns: everything that lists ask of a single turn, as one number."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# Confidence is kept in steps of a twentieth: filters ask for "below" one of them.
CONFIDENCE_STEPS = 20
NO_CONFIDENCE = -1

FALLBACK_INTENT = "nlu_fallback"
# What Rasa does when it does not know: ask whether it guessed right, ask for other words, give up.
FALLBACK_ACTIONS = frozenset(
    {"action_default_ask_affirmation", "action_default_ask_rephrase", "action_default_fallback"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What was understood of a turn; an empty text where nothing was."""

    intent: str
    emotion: str
    model_version: str
    fallback: bool
    confidence_step: int

    @property
    def id(self) -> int:
        """The same number in every process, so that no table has to be asked for it; 63 bits."""
        key = "\0".join(
            (
                self.intent,
                self.emotion,
                self.model_version,
                str(int(self.fallback)),
                str(self.confidence_step),
            )
        )
        digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1


def row_of(kind: Kind) -> dict[str, object]:
    """The kind as a row of its table."""
    return {
        "id": kind.id,
        "intent": kind.intent,
        "emotion": kind.emotion,
        "model_version": kind.model_version,
        "fallback": kind.fallback,
        "confidence_step": kind.confidence_step,
    }


def kind_of(
    *,
    intent: str | None,
    emotion: str | None,
    model_version: str | None,
    actions: Sequence[str] | None,
    confidence: float | None,
) -> Kind:
    """The kind of a turn's record."""
    return Kind(
        intent=intent or "",
        emotion=emotion or "",
        model_version=model_version or "",
        fallback=is_fallback(intent, actions),
        confidence_step=step_of(confidence),
    )


def is_fallback(intent: str | None, actions: Sequence[str] | None) -> bool:
    """Whether the bot did not know what to do."""
    return intent == FALLBACK_INTENT or not FALLBACK_ACTIONS.isdisjoint(actions or ())


def known(confidence: float | None) -> float | None:
    """The confidence; None where it is no number that can be compared."""
    return confidence if confidence is not None and math.isfinite(confidence) else None


def step_of(confidence: float | None) -> int:
    """The step that a confidence in 0..1 lies in: below x means a step below `x * 20`."""
    confidence = known(confidence)
    if confidence is None:
        return NO_CONFIDENCE
    # 0.35 * 20 is a little less than 7 in floating point, or a little more.
    return max(0, min(CONFIDENCE_STEPS - 1, int(confidence * CONFIDENCE_STEPS + 1e-9)))


def intent_bits(intent: str | None) -> int:
    """Two of 62 bits: a conversation without them has no turn of this intent."""
    return _bits("intent", intent or "", first=0, width=62, count=2)


def feature_bits(kind: Kind) -> int:
    """The same of a turn's emotion, model version, and intent and emotion together."""
    return (
        emotion_bits(kind.emotion)
        | version_bits(kind.model_version)
        | pair_bits(kind.intent, kind.emotion)
    )


def emotion_bits(emotion: str) -> int:
    """Three of 24 bits."""
    return _bits("emotion", emotion, first=0, width=24, count=3)


def version_bits(model_version: str) -> int:
    """Two of 16 bits."""
    return _bits("version", model_version, first=24, width=16, count=2)


def pair_bits(intent: str, emotion: str) -> int:
    """One of 22 bits."""
    return _bits("pair", f"{intent}\0{emotion}", first=40, width=22, count=1)


@lru_cache(maxsize=4096)
def _bits(name: str, value: str, *, first: int, width: int, count: int) -> int:
    digest = hashlib.blake2b(f"{name}\0{value}".encode(), digest_size=4 * count).digest()
    bits = 0
    for place in range(count):
        number = int.from_bytes(digest[4 * place : 4 * place + 4], "big")
        bits |= 1 << (first + number % width)
    return bits
