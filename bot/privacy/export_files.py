"""Files that exports wrote: a customer's turns are taken out of them."""

import csv
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nlu.annotation import parse_annotated


class NotCleaned(Exception):
    """A file that nobody here can take a customer out of; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a customer's turns look like in a file: our ids, and the texts themselves."""

    ids: frozenset[str]
    texts: frozenset[str]

    @classmethod
    def of(cls, ids: frozenset[str], texts: frozenset[str]) -> "Words":
        """With the texts as they are compared: blanks and case do not count."""
        return cls(ids=ids, texts=frozenset(map(_plain, texts)) - {""})

    def names(self, value: Any) -> bool:
        """Whether something in a JSON value is one of the ids or the texts."""
        if isinstance(value, str):
            return value in self.ids or _plain(value) in self.texts
        if isinstance(value, list):
            return any(map(self.names, value))
        if isinstance(value, dict):
            return any(map(self.names, value.values()))
        return False


def clean(path: Path, format_: str, words: Words) -> int:
    """Take a customer's turns out of a file; how many went.

    A text that another customer wrote in just the same words goes with it. Raises NotCleaned, and
    FileNotFoundError when it is no longer where it was written.
    """
    way = _WAYS.get(format_)
    if way is None:
        raise NotCleaned(f"a file of the format {format_} is not taken apart")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            content = file.read()
        kept, removed = way(content, words)
        if removed:
            _replace(path, kept)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NotCleaned(error.strerror or type(error).__name__) from None
    except (UnicodeDecodeError, ValueError, yaml.YAMLError, csv.Error) as error:
        raise NotCleaned(f"it was changed by hand ({type(error).__name__})") from None
    return removed


def _replace(path: Path, content: str) -> None:
    """At once and for good: who reads it meanwhile has the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(path.stat().st_mode)
    temporary.replace(path)


def _json_lines(content: str, words: Words) -> tuple[str, int]:
    lines = _lines(content)
    kept = [line for line in lines if not (line.strip() and words.names(json.loads(line)))]
    return "".join(kept), len(lines) - len(kept)


def _rows(content: str, words: Words) -> tuple[str, int]:
    rows = list(csv.reader(io.StringIO(content, newline="")))
    kept = rows[:1] + [row for row in rows[1:] if not words.names(row)]
    if len(kept) == len(rows):
        return content, 0
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n" if "\r\n" in content else "\n").writerows(kept)
    return out.getvalue(), len(rows) - len(kept)


def _rasa(content: str, words: Words) -> tuple[str, int]:
    """Examples of NLU data, in either of the two ways to write them."""
    document = yaml.safe_load(content)
    if not isinstance(document, dict):
        raise NotCleaned("it is no NLU data any more")
    removed = 0
    for entry in document.get("nlu") or []:
        examples = entry.get("examples")
        if isinstance(examples, list):
            kept = [one for one in examples if not words.names(_bare(one))]
            removed += len(examples) - len(kept)
            entry["examples"] = kept
        elif isinstance(examples, str):
            lines = _lines(examples)
            left = [line for line in lines if not words.names(_bare(_unmarked(line)))]
            removed += len(lines) - len(left)
            entry["examples"] = "".join(left)
    if not removed:
        return content, 0
    document["nlu"] = [entry for entry in document["nlu"] if entry.get("examples") != []]
    dumped = yaml.dump(
        document, Dumper=_Quoting, allow_unicode=True, sort_keys=False, width=float("inf")
    )
    return dumped, removed


class _Quoting(yaml.SafeDumper):
    """Quotes every text: Rasa fills `${NAME}` in plain scalars from the environment."""


_Quoting.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str",
        text,
        style="|" if "\n" in text else None if text.isidentifier() else '"',
    ),
)


def _lines(text: str) -> list[str]:
    """With their ends; what Unicode takes for the end of a line is a part of somebody's text."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _unmarked(line: str) -> str:
    """An example without the mark of its list; a dash of the text's own stays."""
    return line.lstrip().removeprefix("- ")


def _bare(example: Any) -> str:
    """An example without its annotations."""
    text = example.get("text", "") if isinstance(example, dict) else str(example)
    try:
        return parse_annotated(text.strip())[0]
    except ValueError:
        return str(text)


def _plain(text: str) -> str:
    # As write_rasa puts a text down: what is not printable, say a joiner in an emoji, is a blank.
    text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.replace("[", "(").replace("]", ")").split()).casefold()


_WAYS: dict[str, Callable[[str, Words], tuple[str, int]]] = {
    "jsonl": _json_lines,
    "csv": _rows,
    "rasa": _rasa,
}
