"""Exact entity matchers from the training data: regexes and lookups, and synonyms for values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nlu.examples import EntitySpan, Example, TrainingData

# A matcher that agrees less often than this with the annotations would add more errors than
# entities: a lookup with the word "set" in it, say.
TRUSTED_PRECISION = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """An entity found in a text, with how sure its finder is and who it was."""

    span: EntitySpan
    confidence: float
    source: str  # "model", "regex" or "lookup"


def check_pattern(pattern: str) -> None:
    """Raises ValueError when the pattern cannot serve as a matcher."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if compiled.match(""):
        raise ValueError(f"{pattern!r} matches the empty text")


class Matchers:
    """Finds the exact entities of a text and settles them with what the model found."""

    def __init__(
        self,
        *,
        lookups: dict[str, tuple[str, ...]],
        regexes: dict[str, tuple[str, ...]],
        synonyms: dict[str, str],
    ) -> None:
        self._synonyms = synonyms
        self._patterns = [
            (entity, "regex", _compiled(pattern))
            for entity, patterns in regexes.items()
            for pattern in patterns
        ]
        self._patterns += [
            (entity, "lookup", _any_of(words)) for entity, words in lookups.items() if words
        ]

    def find(self, text: str) -> list[Recognised]:
        """Every match of every matcher; of overlapping ones of one entity the longest."""
        found: list[Recognised] = []
        for entity, source, pattern in self._patterns:
            for match in pattern.finditer(text):
                if match.end() > match.start():
                    span = EntitySpan(start=match.start(), end=match.end(), entity=entity)
                    found.append(Recognised(span=span, confidence=1.0, source=source))
        return _without_overlap(found)

    def settle(self, text: str, model: list[Recognised]) -> list[Recognised]:
        """The entities of a text: the model's, corrected and completed by the exact matches.

        A regex wins over what it overlaps, unless it lies inside a longer entity of another kind
        (the digits of an address). A lookup only adds, or widens the model's entity of its kind.
        """
        kept = list(model)
        for match in self.find(text):
            rivals = [other for other in kept if _overlap(other.span, match.span)]
            if all(_beats(match, rival) for rival in rivals):
                role = next((r.span for r in rivals if r.span.entity == match.span.entity), None)
                span = match.span
                if role is not None:
                    span = replace(span, role=role.role, group=role.group)
                kept = [other for other in kept if other not in rivals]
                kept.append(replace(match, span=span))
        valued = [replace(item, span=self.with_value(text, item.span)) for item in kept]
        return sorted(valued, key=lambda item: item.span.start)

    def with_value(self, text: str, span: EntitySpan) -> EntitySpan:
        """The span with its value: the synonym of its text, or the text."""
        words = text[span.start : span.end]
        return replace(span, value=self._synonyms.get(words.lower(), words))


def trusted_matchers(
    data: TrainingData,
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """The lookups and regexes whose matches agree with the annotations of the training data.

    As in Rasa, only those named like an annotated entity can be matchers at all.
    """
    annotated = [example for example in data.examples if example.spans is not None]
    entities = {span.entity for example in annotated for span in example.spans or ()}
    lookups: dict[str, tuple[str, ...]] = {}
    regexes: dict[str, tuple[str, ...]] = {}
    for kept, source in ((lookups, data.lookups), (regexes, data.regexes)):
        for entity, items in source.items():
            if entity not in entities:
                continue
            # Each lookup word and each pattern is judged alone, so one bad word costs only itself.
            patterns = [_any_of((i,)) if kept is lookups else _compiled(i) for i in items]
            hits = [_agreement(entity, pattern, annotated) for pattern in patterns]
            good = [
                item
                for item, (right, wrong) in zip(items, hits, strict=True)
                if right >= TRUSTED_PRECISION * (right + wrong)
            ]
            if good:
                kept[entity] = tuple(good)
    return lookups, regexes


def _agreement(
    entity: str, pattern: re.Pattern[str], annotated: Sequence[Example]
) -> tuple[int, int]:
    right = wrong = 0
    for example in annotated:
        for match in pattern.finditer(example.text):
            inside = any(
                span.entity == entity and span.start <= match.start() and match.end() <= span.end
                for span in example.spans or ()
            )
            right, wrong = right + inside, wrong + (not inside)
    return right, wrong


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(set(words), key=lambda word: (-len(word), word))
    return re.compile(
        r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)", re.IGNORECASE
    )


def _without_overlap(found: list[Recognised]) -> list[Recognised]:
    order = {"regex": 0, "lookup": 1}
    kept: list[Recognised] = []
    for item in sorted(
        found, key=lambda r: (order[r.source], r.span.start - r.span.end, r.span.start)
    ):
        if not any(_overlap(item.span, other.span) for other in kept):
            kept.append(item)
    return kept


def _overlap(first: EntitySpan, second: EntitySpan) -> bool:
    return first.start < second.end and second.start < first.end


def _contains(outer: EntitySpan, inner: EntitySpan) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _beats(match: Recognised, rival: Recognised) -> bool:
    same = match.span.entity == rival.span.entity
    longer = _contains(rival.span, match.span) and rival.span != match.span
    if match.source == "regex":
        return same or not longer
    return same and _contains(match.span, rival.span)
