"""The training data as values: examples, entity spans, synonyms, lookups, regexes."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitySpan:
    """One annotated or recognised entity: `text[start:end]`, ends exclusive."""

    start: int
    end: int
    entity: str
    value: str | None = None  # None: the text itself
    role: str | None = None
    group: str | None = None

    @property
    def tag(self) -> str:
        """The name the entity head learns: entity, role and group in one."""
        parts = [self.entity, self.role or "", self.group or ""]
        return ":".join(parts).rstrip(":")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A text with what is known of it; a label that is None trains no head."""

    text: str
    intent: str | None = None
    emotion: str | None = None
    spans: tuple[EntitySpan, ...] | None = None  # None: not annotated, (): none in the text
    weight: float = 1.0  # of its loss: less for labels that nobody has looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Everything one model is trained from."""

    examples: tuple[Example, ...] = ()
    support: tuple[Example, ...] = ()  # trained on, never held out: not what customers wrote
    synonyms: dict[str, str] = field(default_factory=dict)  # lower-cased variant -> value
    lookups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # entity -> exact words
    regexes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # entity -> patterns

    def merged(self, other: "TrainingData") -> "TrainingData":
        """This data and the other's; the other's synonyms win."""
        return TrainingData(
            examples=self.examples + other.examples,
            support=self.support + other.support,
            synonyms={**self.synonyms, **other.synonyms},
            lookups=_joined(self.lookups, other.lookups),
            regexes=_joined(self.regexes, other.regexes),
        )

    def relabelled(self, right: "TrainingData") -> "TrainingData":
        """This data merged with the other's, whose word on a text's intent or emotion replaces
        what this data says of it, whatever the text's case.
        """
        said = {
            label: {
                example.text.lower().strip()
                for example in right.examples
                if getattr(example, label) is not None
            }
            for label in ("intent", "emotion")
        }

        def is_kept(example: Example) -> bool:
            return not any(
                getattr(example, label) is not None and example.text.lower().strip() in texts
                for label, texts in said.items()
            )

        kept = replace(
            self,
            examples=tuple(filter(is_kept, self.examples)),
            support=tuple(filter(is_kept, self.support)),
        )
        return kept.merged(right)

    def without(self, texts: Collection[str]) -> "TrainingData":
        """This data less the examples with one of the texts, whatever their case."""
        unwanted = {text.lower().strip() for text in texts}
        return replace(
            self,
            examples=tuple(e for e in self.examples if e.text.lower().strip() not in unwanted),
            support=tuple(e for e in self.support if e.text.lower().strip() not in unwanted),
        )

    def digest(self) -> str:
        """sha256 of the whole data, whatever files it came from."""
        plain: dict[str, Any] = {
            "examples": [asdict(example) for example in self.examples],
            "support": [asdict(example) for example in self.support],
            "synonyms": self.synonyms,
            "lookups": self.lookups,
            "regexes": self.regexes,
        }
        text = json.dumps(plain, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _joined(
    first: dict[str, tuple[str, ...]], second: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    names = dict.fromkeys([*first, *second])
    return {name: first.get(name, ()) + second.get(name, ()) for name in names}
