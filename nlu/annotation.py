"""Rasa's inline entity annotations: `[HP-204418](order_number)`, `[Amex]{"entity": ...}`."""

import json
import re

from nlu.examples import EntitySpan

# The square brackets of an annotation are followed at once by ( or {; other brackets are text.
_ANNOTATION = re.compile(
    r"\[(?P<text>[^\[\]]+)\](?:\((?P<entity>[^():\s]+)(?::(?P<value>[^()]*))?\)|(?P<open>\{))"
)
_decoder = json.JSONDecoder()


def parse_annotated(line: str) -> tuple[str, tuple[EntitySpan, ...]]:
    """The plain text of an example line and its entity spans.

    Raises ValueError, in words for the author of the data, when an annotation is not well formed.
    """
    text: list[str] = []
    spans: list[EntitySpan] = []
    length = position = 0
    while found := _ANNOTATION.search(line, position):
        before = line[position : found.start()]
        start = length + len(before)
        end = start + len(found["text"])
        if found["open"]:
            span, position = _json_span(line, found.end() - 1, start, end)
        else:
            value = (found["value"] or "").strip() or None
            span = EntitySpan(start=start, end=end, entity=found["entity"], value=value)
            position = found.end()
        text += [before, found["text"]]
        spans.append(span)
        length = end
    text.append(line[position:])
    return "".join(text), tuple(spans)


def write_annotated(text: str, spans: tuple[EntitySpan, ...]) -> str:
    """The example line for a text and its spans, the inverse of `parse_annotated`."""
    parts: list[str] = []
    position = 0
    for span in sorted(spans, key=lambda span: span.start):
        parts += [text[position : span.start], f"[{text[span.start : span.end]}]"]
        fields = {"value": span.value, "role": span.role, "group": span.group}
        known = {name: value for name, value in fields.items() if value is not None}
        if known:
            parts.append(json.dumps({"entity": span.entity, **known}, ensure_ascii=False))
        else:
            parts.append(f"({span.entity})")
        position = span.end
    parts.append(text[position:])
    return "".join(parts)


def _json_span(line: str, at: int, start: int, end: int) -> tuple[EntitySpan, int]:
    try:
        fields, stop = _decoder.raw_decode(line, at)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"the annotation {line[at : at + 40]!r} is not JSON: {error.msg}"
        ) from None
    unknown = set(fields) - {"entity", "value", "role", "group"}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r} in an annotation")
    if not all(isinstance(value, str) for value in fields.values()):
        raise ValueError("the values of an annotation must be strings")
    if not fields.get("entity"):
        raise ValueError('an annotation needs "entity"')
    span = EntitySpan(
        start=start,
        end=end,
        entity=fields["entity"],
        value=fields.get("value"),
        role=fields.get("role"),
        group=fields.get("group"),
    )
    return span, stop
