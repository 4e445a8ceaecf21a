"""QA pairs as values, and how they are read from YAML and CSV files."""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from actions.errors import DataFileError

MAX_TEXT = 8_000
MAX_DOCUMENT_ANSWER = 300  # the head of an answer says what it is about
_YamlLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C: 10 times the speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A question with its answer and the other wordings it is asked in."""

    id: str
    intent: str  # "" when the source names none
    category: str
    question: str
    variants: tuple[str, ...]
    answer: str

    @property
    def wordings(self) -> tuple[str, ...]:
        """The question and its variants, each once."""
        return tuple(dict.fromkeys((self.question, *self.variants)))

    @property
    def document(self) -> str:
        """Question and answer in one text: what the pair is about, in more words."""
        return f"{self.question}\n{self.answer[:MAX_DOCUMENT_ANSWER]}"

    @property
    def fingerprint(self) -> str:
        """sha256 over everything a customer or the search could notice."""
        fields = [self.id, self.intent, self.category, *self.wordings, self.document, self.answer]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvColumns:
    """Which columns of a CSV or TSV file hold what."""

    question: str
    answer: str
    intent: str | None = None


def read_yaml_pairs(path: Path) -> list[Pair]:
    """The pairs of a file of `category:` and `pairs:`, or of several such documents in it.

    Raises DataFileError naming the pair and the field that is wrong.
    """
    try:
        return parse_yaml_pairs(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError:
        raise DataFileError(path, "not UTF-8 text") from None


def parse_yaml_pairs(text: str, path: Path) -> list[Pair]:
    """The same from the file's text; `path` is for messages."""
    try:
        documents = list(yaml.load_all(text, Loader=_YamlLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DataFileError(path, f"not valid YAML: {error.problem}", line=line) from None
    except yaml.YAMLError as error:
        raise DataFileError(path, f"not valid YAML: {error}") from None
    pairs: list[Pair] = []
    for content in documents or [None]:
        if not isinstance(content, dict) or not isinstance(content.get("pairs"), list):
            raise DataFileError(path, "needs `category:` and a list `pairs:`")
        category = _text(content, "category", path, "the file")
        pairs += [
            _pair(item, number, category, path) for number, item in enumerate(content["pairs"], 1)
        ]
    return pairs


def read_csv_pairs(path: Path, columns: CsvColumns) -> list[Pair]:
    """The pairs of a CSV or TSV file with a header.

    Rows with the same answer and label become one pair with several wordings.
    """
    grouped: dict[tuple[str, str], list[str]] = {}
    for line, row in _rows(path, columns):
        question, answer = row[columns.question].strip(), row[columns.answer].strip()
        intent = row[columns.intent].strip() if columns.intent else ""
        if not question or not answer:
            empty = columns.answer if question else columns.question
            raise DataFileError(path, f"column {empty!r} is empty", line=line)
        grouped.setdefault((intent, answer), []).append(question)
    if not grouped:
        raise DataFileError(path, "has no rows")
    return [
        Pair(
            id=_derived_id(path.stem, intent, answer),
            intent=intent,
            category=path.stem,
            question=questions[0],
            variants=tuple(questions[1:]),
            answer=answer,
        )
        for (intent, answer), questions in grouped.items()
    ]


def _rows(path: Path, columns: CsvColumns) -> Iterator[tuple[int, dict[str, str]]]:
    wanted = [name for name in (columns.question, columns.answer, columns.intent) if name]
    with path.open(encoding="utf-8-sig", newline="") as file:
        # A TSV of a measuring set has no quoting; a quote in it is only a character.
        tab = path.suffix.lower() == ".tsv"
        reader = csv.DictReader(
            file,
            delimiter="\t" if tab else ",",
            quoting=csv.QUOTE_NONE if tab else csv.QUOTE_MINIMAL,
        )
        header = list(reader.fieldnames or [])
        for name in wanted:
            if name not in header:
                raise DataFileError(path, f"no column {name!r}; there are: {', '.join(header)}")
        try:
            for row in reader:
                if any(row[name] is None for name in wanted):
                    raise DataFileError(path, "too few columns", line=reader.line_num)
                yield reader.line_num, row
        except csv.Error as error:
            raise DataFileError(path, str(error), line=reader.line_num) from None
        except UnicodeDecodeError:
            raise DataFileError(path, "not UTF-8 text") from None


def _pair(item: object, number: int, category: str, path: Path) -> Pair:
    if not isinstance(item, dict):
        raise DataFileError(path, f"pair {number} is not a mapping")
    who = f"pair {item.get('id', number)}"
    variants = item.get("variants") or []
    if not isinstance(variants, list) or not all(isinstance(text, str) for text in variants):
        raise DataFileError(path, f"{who}: `variants` must be a list of texts")
    return Pair(
        id=_text(item, "id", path, who),
        # An export writes "" for a pair that has none; a missing one is more likely a slip.
        intent="" if item.get("intent") == "" else _text(item, "intent", path, who),
        category=category,
        question=_text(item, "question", path, who),
        variants=tuple(text.strip() for text in variants if text.strip()),
        answer=_text(item, "answer", path, who),
    )


def _text(item: dict[str, Any], field: str, path: Path, who: str) -> str:
    value = item.get(field)
    if not isinstance(value, str) or not value.strip():
        raise DataFileError(path, f"{who}: `{field}` is missing or not a text")
    if len(value) > MAX_TEXT:
        raise DataFileError(path, f"{who}: `{field}` is longer than {MAX_TEXT} characters")
    return value.strip()


def _derived_id(stem: str, intent: str, answer: str) -> str:
    digest = hashlib.sha256(json.dumps([intent, answer]).encode()).hexdigest()
    return f"{stem[:60]}-{digest[:16]}"
