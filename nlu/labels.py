"""The label sets of a model's heads."""

from collections.abc import Iterable
from dataclasses import dataclass

from nlu.examples import Example
from nlu.spans import tag_names

# What a text as a whole has; tags are of its words.
TEXT_HEADS = ("intent", "emotion")
HEADS = (*TEXT_HEADS, "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Names in the order of each head's outputs; empty: the model has no such head."""

    intent: tuple[str, ...] = ()
    emotion: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def of(self, head: str) -> tuple[str, ...]:
        names: tuple[str, ...] = getattr(self, head)
        return names

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that the model has, in the order of its outputs."""
        return tuple(head for head in HEADS if self.of(head))


def labels_of(examples: Iterable[Example]) -> Labels:
    """The labels found in the examples; a head with fewer than two labels is left out."""
    examples = list(examples)
    intents = sorted({e.intent for e in examples if e.intent is not None})
    emotions = sorted({e.emotion for e in examples if e.emotion is not None})
    tags = tag_names([span for e in examples for span in e.spans or ()])
    return Labels(
        intent=tuple(intents) if len(intents) > 1 else (),
        emotion=tuple(emotions) if len(emotions) > 1 else (),
        tags=tags if len(tags) > 1 else (),
    )
