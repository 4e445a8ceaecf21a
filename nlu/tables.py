"""Reads labelled texts from CSV and TSV files with a header line."""

import csv
from collections.abc import Iterator
from pathlib import Path

from nlu.errors import DataError
from nlu.examples import Example

_LONGEST_FIELD = 1_000_000


def read_pairs(path: Path, text: str, label: str) -> list[tuple[str, str]]:
    """The (text, label) pairs of a table; `text` and `label` name its columns.

    A `.tsv` or `.tab` file has no quoting; anything else is ordinary CSV. Rows with an empty text
    are an error, not skipped: they mean the wrong column or a broken file.
    """
    pairs: list[tuple[str, str]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            pairs.extend(_rows(stream, path, text, label))
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except IsADirectoryError:
        raise DataError("a folder; give the CSV or TSV file itself", path=path) from None
    except UnicodeDecodeError:
        raise DataError("not UTF-8 text", path=path) from None
    if not pairs:
        raise DataError("no rows below the header", path=path)
    return pairs


def read_intent_table(path: Path, text: str, label: str) -> list[Example]:
    """Intent examples, without entities, of a CSV or TSV file."""
    return [Example(text=words, intent=name) for words, name in read_pairs(path, text, label)]


def read_emotion_table(path: Path, text: str = "text", label: str = "emotion") -> list[Example]:
    """Emotion examples of a CSV or TSV file."""
    return [Example(text=words, emotion=name) for words, name in read_pairs(path, text, label)]


def _rows(stream: Iterator[str], path: Path, text: str, label: str) -> Iterator[tuple[str, str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    if path.suffix.lower() in (".tsv", ".tab"):
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.DictReader(stream, strict=True)
    columns = reader.fieldnames or []
    for name in (text, label):
        if name not in columns:
            have = ", ".join(columns) or "no header"
            raise DataError(f"no column {name!r}; the header has: {have}", path=path, line=1)
    try:
        for row in reader:
            words, name = (row[text] or "").strip(), (row[label] or "").strip()
            if not words or not name:
                missing = text if not words else label
                raise DataError(f"column {missing!r} is empty", path=path, line=reader.line_num)
            yield words, name
    except csv.Error as error:
        raise DataError(f"not valid CSV: {error}", path=path, line=reader.line_num) from None
