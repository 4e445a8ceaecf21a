"""Entity spans as BIO tags of words, and back."""

from collections.abc import Sequence

from nlu.examples import EntitySpan
from nlu.matchers import Recognised
from nlu.tokens import Word

OUTSIDE = "O"


def tag_names(spans: Sequence[EntitySpan]) -> tuple[str, ...]:
    """All tags needed for these spans: O, then B- and I- of each entity."""
    kinds = sorted({span.tag for span in spans})
    return (OUTSIDE, *(f"{side}-{kind}" for kind in kinds for side in "BI"))


def to_tags(words: Sequence[Word], spans: Sequence[EntitySpan]) -> list[str]:
    """One BIO tag for each word; a word belongs to the span that it touches."""
    tags = [OUTSIDE] * len(words)
    for span in spans:
        side = "B"
        for index, word in enumerate(words):
            if word.start < span.end and span.start < word.end:
                tags[index] = f"{side}-{span.tag}"
                side = "I"
    return tags


def from_tags(
    words: Sequence[Word], tags: Sequence[str], confidences: Sequence[float]
) -> list[Recognised]:
    """The spans that tags describe; an I- that continues nothing begins a span.

    A span is as sure as the least sure of its words.
    """
    found: list[Recognised] = []
    kind, start, end, sure = "", 0, 0, 1.0

    def close() -> None:
        if kind:
            entity, role, group = [*kind.split(":"), "", ""][:3]
            span = EntitySpan(
                start=start, end=end, entity=entity, role=role or None, group=group or None
            )
            found.append(Recognised(span=span, confidence=sure, source="model"))

    for word, tag, confidence in zip(words, tags, confidences, strict=True):
        side, _, name = tag.partition("-")
        if side == "I" and name == kind:
            end, sure = word.end, min(sure, confidence)
            continue
        close()
        kind, start, end, sure = name, word.start, word.end, confidence
    close()
    return found
