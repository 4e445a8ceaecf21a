"""Pairs as files to exchange: YAML as imports read it, and a table of one row a wording."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from actions.errors import DataFileError
from actions.qa.pairs import MAX_TEXT, Pair

COLUMNS = ("id", "intent", "category", "question", "answer")
_NEEDED = ("question", "answer")
# What a spreadsheet would run begins so; our own exports put an apostrophe before it.
_GUARDED = ("'=", "'+", "'-", "'@", "'\t", "'\r", "'\n", "'＝", "'＋", "'－", "'＠")


def plain_pair(pair: Pair) -> dict[str, Any]:
    """A pair as an item of `pairs:`."""
    return {
        "id": pair.id,
        "intent": pair.intent,
        "question": pair.question,
        "variants": list(pair.wordings[1:]),
        "answer": pair.answer,
    }


def yaml_of(pairs: Iterable[Pair]) -> str:
    """A document a category, so that the text can be parted into files again."""
    by_category: dict[str, list[dict[str, Any]]] = {}
    for pair in pairs:
        by_category.setdefault(pair.category, []).append(plain_pair(pair))
    return "".join(
        "---\n"
        + yaml.safe_dump(
            {"category": category, "pairs": found},
            sort_keys=False,
            allow_unicode=True,
            width=1_000,
        )
        for category, found in by_category.items()
    )


def table_rows(pairs: Iterable[Pair]) -> Iterator[tuple[str, ...]]:
    """A row of COLUMNS for each wording, the question first."""
    for pair in pairs:
        for wording in pair.wordings:
            yield pair.id, pair.intent, pair.category, wording, pair.answer


@dataclass(slots=True, kw_only=True)
class _Group:
    intent: str
    category: str
    answer: str
    wordings: list[str] = field(default_factory=list)


def parse_table(text: str, path: Path) -> list[Pair]:
    """The pairs of a CSV text with a header that has question and answer, and maybe the others.

    Rows with one id are one pair; without ids, rows with one intent and answer are, and its id is
    empty. Raises DataFileError naming the line.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    groups: dict[tuple[str, ...], _Group] = {}
    try:
        header = list(reader.fieldnames or [])
        for name in _NEEDED:
            if name not in header:
                have = ", ".join(header)[:200] or "no header"
                raise DataFileError(path, f"no column {name!r}; there are: {have}", line=1)
        for row in reader:
            _take(groups, {name: _unguarded(row.get(name)) for name in COLUMNS}, path, reader)
    except csv.Error as error:
        raise DataFileError(path, f"not a CSV file: {error}", line=reader.line_num) from None
    if not groups:
        raise DataFileError(path, "has no rows")
    return [
        Pair(
            id=key[1] if key[0] == "id" else "",
            intent=group.intent,
            category=group.category or path.stem[:120],
            question=group.wordings[0],
            variants=tuple(group.wordings[1:]),
            answer=group.answer,
        )
        for key, group in groups.items()
    ]


def _take(
    groups: dict[tuple[str, ...], _Group],
    row: dict[str, str],
    path: Path,
    reader: "csv.DictReader[str]",
) -> None:
    for name, value in row.items():
        if name in _NEEDED and not value:
            raise DataFileError(path, f"column {name!r} is empty", line=reader.line_num)
        if len(value) > (MAX_TEXT if name in _NEEDED else 120):
            raise DataFileError(path, f"column {name!r} is too long", line=reader.line_num)
    key = ("id", row["id"]) if row["id"] else ("answer", row["intent"], row["answer"])
    group = groups.setdefault(
        key, _Group(intent=row["intent"], category=row["category"], answer=row["answer"])
    )
    if row["answer"] != group.answer:
        raise DataFileError(
            path, f"id {row['id']} has another answer than before", line=reader.line_num
        )
    group.wordings.append(row["question"])


def _unguarded(value: str | None) -> str:
    text = value or ""
    return (text[1:] if text.startswith(_GUARDED) else text).strip()
