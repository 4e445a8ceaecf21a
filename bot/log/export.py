"""Writes turns out: JSON lines for any tool, Rasa's YAML for training."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TextIO

import yaml

from bot.log.corrections import as_example, as_line
from nlu.annotation import write_annotated
from nlu.examples import EntitySpan


class _Quoted(str):
    """A text that YAML must quote: Rasa fills `${NAME}` in plain scalars from the environment."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes _Quoted texts in double quotes."""


_Dumper.add_representer(
    _Quoted,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"'),
)


def as_json(turn: dict[str, Any]) -> str:
    """One turn as a line of JSON; moments in ISO 8601."""
    return json.dumps(turn, ensure_ascii=False, default=_plain)


def write_jsonl(turns: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Write one line a turn; returns how many."""
    count = 0
    for turn in turns:
        out.write(as_json(turn) + "\n")
        count += 1
    return count


def write_rasa(turns: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Write the turns as Rasa 3.1 NLU examples by intent; returns how many examples.

    An annotation's labels win over the model's. What has no intent of its own (fallbacks, failed
    turns, pressed buttons) is left out, and an example is written once.
    """
    by_intent: dict[str, dict[str, None]] = {}
    for turn in turns:
        found = _example(turn)
        if found is not None:
            intent, example = found
            by_intent.setdefault(intent, {})[example] = None
    document = {
        "version": _Quoted("3.1"),
        "nlu": [
            {
                "intent": _Quoted(intent),
                "examples": [{"text": _Quoted(example)} for example in examples],
            }
            for intent, examples in sorted(by_intent.items())
        ],
    }
    yaml.dump(document, out, _Dumper, allow_unicode=True, sort_keys=False, width=float("inf"))
    return sum(map(len, by_intent.values()))


def write_corrected_jsonl(turns: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Write what people said of turns, one line a turn; returns how many."""
    return write_jsonl(map(as_line, turns), out)


def write_corrected_rasa(turns: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Write the turns whose intent people named as Rasa 3.1 NLU examples; returns how many."""
    return write_rasa(map(as_example, turns), out)


def _example(turn: dict[str, Any]) -> tuple[str, str] | None:
    # On what people contradict each other, and what is of no use, nobody is to learn.
    if turn.get("review") in ("rejected", "disputed"):
        return None
    annotation = turn["annotation"] or {}
    intent = annotation.get("intent") or turn["intent"]
    if not intent or intent == "nlu_fallback" or turn["text"].lstrip().startswith("/"):
        return None
    entities = annotation.get("entities")
    text = _one_line(turn["text"])
    spans = tuple(_spans(text, turn["entities"] if entities is None else entities))
    return intent, write_annotated(text, spans).strip()


def _one_line(text: str) -> str:
    """The text without what would end the example or read as an annotation; lengths stay."""
    text = "".join(char if char.isprintable() else " " for char in text)
    if "](" in text or "]{" in text:
        text = text.replace("[", "(").replace("]", ")")
    return text


def _spans(text: str, entities: Iterable[dict[str, Any]] | None) -> Iterator[EntitySpan]:
    position = 0
    placed = [entity for entity in entities or () if isinstance(entity.get("start"), int)]
    for entity in sorted(placed, key=lambda entity: int(entity["start"])):
        start, end = entity["start"], entity["end"]
        # An annotation cannot hold brackets of its own, nor another annotation.
        if not position <= start < end <= len(text) or set("[]") & set(text[start:end]):
            continue
        position = end
        value = entity.get("value")
        yield EntitySpan(
            start=start,
            end=end,
            entity=entity["entity"],
            value=value if isinstance(value, str) and value != text[start:end] else None,
            role=entity.get("role"),
            group=entity.get("group"),
        )


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")
