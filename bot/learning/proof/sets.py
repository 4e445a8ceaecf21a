"""The texts that a challenger is tried on: the frozen test set, new data, texts out of scope."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.learning.datasets.row import Row
from bot.log.review_candidates import is_drawn
from nlu.examples import EntitySpan, Example
from nlu.rasa_yaml import read_rasa_nlu
from nlu.tables import read_emotion_table

# What the intent is called whose texts no bot of this company is for; clinc150 has "oos".
OUT_OF_SCOPE = frozenset({"out_of_scope", "oos"})


def frozen_examples(data_dir: Path) -> list[Example]:
    """The test set in the data folder, which nothing is ever trained on. Raises DataError."""
    folder = data_dir / "test"
    found: list[Example] = []
    if (folder / "nlu.yml").is_file():
        found += read_rasa_nlu(folder / "nlu.yml").examples
    if (folder / "emotion.csv").is_file():
        found += read_emotion_table(folder / "emotion.csv")
    return found


def frozen_intents(data_dir: Path) -> frozenset[str]:
    """The intents that the test set in the data folder has texts of. Raises DataError."""
    found = (example.intent for example in frozen_examples(data_dir))
    return frozenset(intent for intent in found if intent is not None)


def new_examples(rows: Iterable[Row], *, champion: str, known: Collection[str]) -> list[Example]:
    """The rows that were kept from training, as examples; the others are passed over.

    So is what was not drawn by lot while the champion answered, of intents that are `known` to it:
    such turns were shown to people because it was unsure of them, and on those any other version
    looks better. Of an intent that it does not know it has nothing right, whatever was chosen.
    """
    return [
        _example(row)
        for row in rows
        if row.split == "test"
        and (is_drawn(row.turn_id) or row.intent not in known or row.model_version != champion)
    ]


def out_of_scope_texts(examples: Iterable[Example]) -> list[str]:
    """The texts whose intent says that they are out of scope."""
    return list(dict.fromkeys(e.text for e in examples if e.intent in OUT_OF_SCOPE))


def each_once(
    frozen: Sequence[Example], new: Sequence[Example]
) -> tuple[list[Example], list[bool]]:
    """Each text once, whatever its case, and whether it is of the frozen set, which goes first.

    What a later example of a text says of a head that the earlier one is silent on is added, so
    that a text may stand in nlu.yml and in emotion.csv.
    """
    found: dict[str, tuple[Example, bool]] = {}
    for examples, is_frozen in ((frozen, True), (new, False)):
        for example in examples:
            key = " ".join(example.text.casefold().split())
            if key not in found:
                found[key] = (example, is_frozen)
                continue
            first, of_frozen = found[key]
            # Offsets hold in the very same text only.
            same = first.text == example.text
            found[key] = (
                replace(
                    first,
                    intent=first.intent if first.intent is not None else example.intent,
                    emotion=first.emotion if first.emotion is not None else example.emotion,
                    spans=example.spans if first.spans is None and same else first.spans,
                ),
                of_frozen,
            )
    return [example for example, _ in found.values()], [flag for _, flag in found.values()]


def _example(row: Row) -> Example:
    return Example(
        text=row.text,
        intent=row.intent,
        emotion=row.emotion,
        spans=None if row.entities is None else tuple(_spans(row.entities)),
    )


def _spans(entities: Sequence[Mapping[str, Any]]) -> Iterable[EntitySpan]:
    for entity in entities:
        # The emotion stands among the entities for Rasa's rules; it is no part of the text.
        if isinstance(entity.get("start"), int) and entity["entity"] != "emotion":
            value = entity.get("value")
            yield EntitySpan(
                start=entity["start"],
                end=entity["end"],
                entity=entity["entity"],
                value=value if isinstance(value, str) else None,
                role=entity.get("role"),
                group=entity.get("group"),
            )
