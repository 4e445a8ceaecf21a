"""What is exported can be read again and does no harm."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.log.export import (
    write_corrected_jsonl,
    write_corrected_rasa,
    write_jsonl,
    write_rasa,
)
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


def test_what_people_reject_or_dispute_is_no_example(tmp_path: Path) -> None:
    turns = [
        turn("good"),
        turn("spam", review="rejected", annotation={"intent": None, "entities": None}),
        turn("two minds", review="disputed"),
    ]
    assert [example.text for example in exported(tmp_path, *turns)] == ["good"]


def corrected_turn(**said: Any) -> dict[str, Any]:
    """A turn as `corrections.corrected` gives it."""
    labels = dict.fromkeys(("intent", "emotion", "entities", "answer", "answer_pair_id"))
    record = {
        "id": "a1",
        "agent_id": "r1",
        "created_at": datetime(2026, 1, 3, tzinfo=UTC),
        "reason": "uncertainty",
        "reject_reason": None,
        "settles": False,
    }
    about = {
        "id": "t1",
        "conversation_id": "c1",
        "channel": "api",
        "confidence": 0.4,
        "emotion": "neutral",
        "emotion_confidence": 0.9,
        "entities": [{"entity": "product", "start": 0, "end": 2, "value": "my"}],
        "qa_pair_id": "p1",
        "model_version": "m1",
        "review": "labelled",
        "authors": 1,
        "annotation": labels | record | said,
    }
    return turn("my ${HOME} from Leeds", **about)


def test_a_correction_tells_before_and_after() -> None:
    out = io.StringIO()
    city = {"entity": "city", "start": 16, "end": 21, "value": "Leeds"}
    said = {"intent": "greet", "emotion": "neutral", "entities": [city], "answer": "none"}
    assert write_corrected_jsonl([corrected_turn(**said)], out) == 1
    line = json.loads(out.getvalue())
    assert line["before"]["intent"] == "inform"
    assert line["after"] == said | {"answer_pair_id": None}
    assert line["changed"] == ["intent", "entities", "answer"]
    assert (line["author"], line["reason"], line["model_version"]) == ("r1", "uncertainty", "m1")
    assert line["labelled_at"] == "2026-01-03T00:00:00+00:00"


def test_who_finds_all_right_changes_nothing() -> None:
    entities = [{"entity": "product", "start": 0, "end": 2, "value": "my"}]
    said = {"intent": "inform", "emotion": "neutral", "entities": entities, "answer": "right"}
    out = io.StringIO()
    write_corrected_jsonl([corrected_turn(**said)], out)
    assert json.loads(out.getvalue())["changed"] == []


def test_an_example_of_a_correction_has_peoples_labels_only(tmp_path: Path) -> None:
    city = {"entity": "city", "start": 16, "end": 21, "value": "Leeds"}
    turns = [
        corrected_turn(intent="greet"),
        corrected_turn(intent="greet", entities=[city]) | {"text": "my ${PATH} from Leeds"},
        corrected_turn(emotion="angry") | {"text": "nobody named an intent"},
    ]
    with (tmp_path / "nlu.yml").open("w", encoding="utf-8") as file:
        assert write_corrected_rasa(turns, file) == 2
    bare, marked = read_rasa_nlu(tmp_path / "nlu.yml").examples
    assert (bare.intent, bare.text, bare.spans) == ("greet", "my ${HOME} from Leeds", ())
    assert marked.spans is not None
    assert [(span.entity, marked.text[span.start : span.end]) for span in marked.spans] == [
        ("city", "Leeds")
    ]
