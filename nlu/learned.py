"""Reads a version of the training data that the log taught: a line of JSON for each row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlu.errors import DataError
from nlu.examples import EntitySpan, Example

FILE = "rows.jsonl"


def read_learned(folder: Path, *, with_pseudo: bool = True) -> tuple[Example, ...]:
    """The rows of a version's folder that are for training and have a label, each once.

    `with_pseudo`: also those that nobody spoke of. Raises DataError that names the line which is
    no row.
    """
    examples = (
        example
        for row, example in _rows(folder)
        if row["split"] == "train" and (with_pseudo or row.get("source") != "pseudo")
    )
    return tuple(
        dict.fromkeys(
            e for e in examples if e.intent is not None or e.emotion is not None or e.spans
        )
    )


def read_taught(folder: Path) -> tuple[tuple[str, str], ...]:
    """(text, id of the answered question that fits it) of the rows that are for training."""
    return tuple(
        dict.fromkeys(
            (example.text, str(row["pair_id"]))
            for row, example in _rows(folder)
            if row["split"] == "train" and row.get("pair_id") is not None
        )
    )


def _rows(folder: Path) -> Iterator[tuple[dict[str, Any], Example]]:
    path = folder / FILE
    if not path.is_file():
        raise DataError(f"no {FILE}: this is no version of the training data", path=folder)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                found = (row, _example(row))
                row["split"]
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(f"not a row ({error})", path=path, line=number) from None
            yield found


def _example(row: dict[str, Any]) -> Example:
    entities = row["entities"]
    return Example(
        text=row["text"],
        intent=row["intent"],
        emotion=row["emotion"],
        spans=None if entities is None else tuple(map(_span, entities)),
        weight=float(row["weight"]),
    )


def _span(entity: dict[str, Any]) -> EntitySpan:
    return EntitySpan(
        start=entity["start"],
        end=entity["end"],
        entity=entity["entity"],
        value=entity.get("value"),
        role=entity.get("role"),
        group=entity.get("group"),
    )
