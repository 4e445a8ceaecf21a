"""What the figures call things: upset emotions, languages, buckets of time."""

import math

# As the actions have it (`actions/turn.py`): who feels so gets a kind word first.
UPSET = frozenset({"angry", "anxious", "disappointed"})
FALLBACK = "nlu_fallback"
# Of voice_day: the row of all channels, or of all languages, of a day.
ALL = "*"

# Buckets of a quarter octave, from 10 ms to ten days: a percentile is off by 9 % at most.
_LEAST_MS = 10.0
_PER_OCTAVE = 4
_MOST = 105


def language_of(locale: str | None) -> str:
    """The language of a locale in lower case: `en` of `en-GB`; empty where nobody knows."""
    return (locale or "").replace("_", "-").split("-")[0].strip().lower()[:20]


def bucket_of(duration_ms: float) -> int:
    """The number of the bucket that a time falls into."""
    if duration_ms <= _LEAST_MS:
        return 0
    return min(_MOST, 1 + int(_PER_OCTAVE * math.log2(duration_ms / _LEAST_MS)))


def bucket_ms(bucket: int) -> float:
    """The time that stands for a bucket: its geometric middle."""
    return _LEAST_MS if bucket <= 0 else _LEAST_MS * 2.0 ** ((bucket - 0.5) / _PER_OCTAVE)
