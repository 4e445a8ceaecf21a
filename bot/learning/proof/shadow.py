"""The last real messages, read by both versions: each prediction that would change.

Only the ids of turns are kept: whoever looks at them sees the texts that the log still has.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from bot.learning.proof.measured import Reader, served
from nlu.examples import Example
from nlu.understanding import Meaning

_CHUNK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A turn that would be taken otherwise; intents as the bot acts on them."""

    turn_id: str
    champion: str | None
    champion_confidence: float
    challenger: str | None
    challenger_confidence: float
    # None where the emotion stays.
    champion_emotion: str | None = None
    challenger_emotion: str | None = None

    @property
    def is_of_intent(self) -> bool:
        """Whether the intent changes, not the emotion alone."""
        return self.champion != self.challenger

    @property
    def weight(self) -> tuple[bool, float, str]:
        """Comes first in a list: changes of intent, and those of which both were most sure."""
        sure = min(self.champion_confidence, self.challenger_confidence)
        return not self.is_of_intent, -sure, self.turn_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What changed over all turns that were replayed."""

    turns: int
    changed: int  # of intent
    emotions_changed: int
    changes: tuple[Change, ...]  # the most confident first

    @property
    def pairs(self) -> list[tuple[str | None, str | None, int]]:
        """How often which intent became which, most often first."""
        counts = Counter((c.champion, c.challenger) for c in self.changes if c.is_of_intent)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
        return [(before, after, count) for (before, after), count in ordered]

    def as_json(self) -> dict[str, Any]:
        """The list as plain values."""
        return {
            "turns": self.turns,
            "changed": self.changed,
            "emotions_changed": self.emotions_changed,
            "pairs": [
                {"champion": before, "challenger": after, "count": count}
                for before, after, count in self.pairs
            ],
            "changes": [asdict(change) for change in self.changes],
        }


def replay(champion: Reader, challenger: Reader, turns: Iterable[tuple[str, str]]) -> Shadow:
    """Let both read (turn id, text) pairs, some hundred at a time."""
    count = 0
    changes: list[Change] = []
    for chunk in _chunks(turns):
        count += len(chunk)
        examples = [Example(text=text) for _, text in chunk]
        both = zip(champion.read(examples), challenger.read(examples), strict=True)
        for (turn_id, _), (before, after) in zip(chunk, both, strict=True):
            change = _change(turn_id, before, after, (champion, challenger))
            if change is not None:
                changes.append(change)
    changes.sort(key=lambda change: change.weight)
    return Shadow(
        turns=count,
        changed=sum(change.is_of_intent for change in changes),
        emotions_changed=sum(change.champion_emotion is not None for change in changes),
        changes=tuple(changes),
    )


def _change(
    turn_id: str, before: Meaning, after: Meaning, readers: tuple[Reader, Reader]
) -> Change | None:
    intent, confidence = served(before, readers[0].side.threshold)
    new_intent, new_confidence = served(after, readers[1].side.threshold)
    emotion = before.emotions[0][0] if before.emotions else None
    new_emotion = after.emotions[0][0] if after.emotions else None
    if intent == new_intent and emotion == new_emotion:
        return None
    is_felt_otherwise = emotion != new_emotion
    return Change(
        turn_id=turn_id,
        champion=intent,
        champion_confidence=round(confidence, 4),
        challenger=new_intent,
        challenger_confidence=round(new_confidence, 4),
        champion_emotion=(emotion or "none") if is_felt_otherwise else None,
        challenger_emotion=(new_emotion or "none") if is_felt_otherwise else None,
    )


def _chunks(turns: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    remaining = iter(turns)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
