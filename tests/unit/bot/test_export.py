"""What is exported can be read again and does no harm."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.log.export import write_jsonl, write_rasa
from nlu.examples import Example
from nlu.rasa_yaml import read_rasa_nlu


def turn(text: str, **changes: Any) -> dict[str, Any]:
    return {
        "text": text,
        "intent": "inform",
        "entities": [],
        "annotation": None,
        "created_at": datetime(2026, 1, 2, tzinfo=UTC),
    } | changes


def exported(path: Path, *turns: dict[str, Any]) -> list[Example]:
    with (path / "nlu.yml").open("w", encoding="utf-8") as file:
        write_rasa(turns, file)
    return list(read_rasa_nlu(path / "nlu.yml").examples)


def test_entities_are_annotated(tmp_path: Path) -> None:
    entities = [
        {"entity": "order_number", "start": 6, "end": 15, "value": "HP-482913"},
        {"entity": "payment_method", "start": 19, "end": 23, "value": "American Express"},
    ]
    (example,) = exported(tmp_path, turn("it is HP-482913 by Amex", entities=entities))
    assert example.text == "it is HP-482913 by Amex"
    assert example.spans is not None
    assert [(span.entity, span.value) for span in example.spans] == [
        ("order_number", None),
        ("payment_method", "American Express"),
    ]


def test_hostile_texts_stay_one_literal(tmp_path: Path) -> None:
    texts = [
        "my ${KEFU_TOKEN_SECRET} please",
        "one\n- intent: affirm\n  examples: two",
        '[yes](order_number) and [no]{"entity": "email"}',
        'quote " and \\ and # and: colon',
        "\x1b[31mred\x85\u2028line",
        "- dash first",
        "\U0001f600 emoji",
    ]
    examples = exported(tmp_path, *map(turn, texts))
    assert [example.intent for example in examples] == ["inform"] * len(texts)
    assert all(example.spans == () for example in examples)
    assert examples[0].text == texts[0]
    assert '"my ${KEFU_TOKEN_SECRET} please"' in (tmp_path / "nlu.yml").read_text()


def test_what_has_no_intent_of_its_own_is_left_out(tmp_path: Path) -> None:
    kept = exported(
        tmp_path,
        turn("hm", intent="nlu_fallback"),
        turn("hm", intent=None),
        turn("/affirm", intent="affirm"),
        turn("yes"),
        turn("yes"),
        turn("what", intent="nlu_fallback", annotation={"intent": "affirm", "entities": None}),
    )
    assert [(example.intent, example.text) for example in kept] == [
        ("affirm", "what"),
        ("inform", "yes"),
    ]


def test_jsonl_has_one_turn_a_line() -> None:
    out = io.StringIO()
    assert write_jsonl([turn("a\nb"), turn("\u2028")], out) == 2
    first, second = out.getvalue().removesuffix("\n").split("\n")
    assert json.loads(first)["text"] == "a\nb"
    assert json.loads(second)["created_at"] == "2026-01-02T00:00:00+00:00"


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
        lambda text: any(char.isprintable() and char not in " -/" for char in text)
    ),
    start=st.integers(0, 20),
    length=st.integers(0, 20),
)
def test_any_text_is_loadable_again(
    tmp_path_factory: Any, text: str, start: int, length: int
) -> None:
    entity = {"entity": "product", "start": start, "end": start + length, "value": "x"}
    folder = tmp_path_factory.mktemp("export")
    examples = exported(folder, turn(text, entities=[entity]), turn("anchor"))
    assert len(examples) == (1 if text.lstrip().startswith("/") or text == "anchor" else 2)
