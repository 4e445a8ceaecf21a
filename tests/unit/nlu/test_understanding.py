import pytest

from nlu.understanding import Meaning, as_parse, payload_parse

MEANING = Meaning(
    intents=[("track_order", 0.5), ("greet", 0.3)],
    emotions=[("angry", 0.9), ("happy", 0.1)],
    entities=[],
)


def test_a_parse_is_rasas_with_the_emotion_as_an_entity() -> None:
    parse = as_parse("where is it", MEANING, threshold=0.4)
    assert parse["intent"] == {"name": "track_order", "confidence": 0.5}
    assert [r["name"] for r in parse["intent_ranking"]] == ["track_order", "greet"]
    assert parse["emotion"]["name"] == "angry"
    assert parse["entities"] == [
        {
            "entity": "emotion",
            "start": 0,
            "end": 11,
            "value": "angry",
            "confidence_entity": 0.9,
            "extractor": "kefu-emotion",
        }
    ]


def test_below_the_threshold_the_fallback_leads_the_ranking() -> None:
    parse = as_parse("hm", MEANING, threshold=0.6)
    assert parse["intent"] == {"name": "nlu_fallback", "confidence": 0.6}
    assert [r["name"] for r in parse["intent_ranking"]] == ["nlu_fallback", "track_order", "greet"]


def test_without_an_intent_head_there_is_no_intent() -> None:
    parse = as_parse("hm", Meaning(intents=[], emotions=[], entities=[]), threshold=0.6)
    assert parse["intent"] == {"name": None, "confidence": 0.0}
    assert parse["emotion"]["name"] is None


def test_a_payload_is_read() -> None:
    parse = payload_parse('/choose_answer{"qa_id": "17", "tags": ["a", "b"]}')
    assert parse is not None
    assert parse["intent"] == {"name": "choose_answer", "confidence": 1.0}
    assert [(e["entity"], e["value"]) for e in parse["entities"]] == [
        ("qa_id", "17"),
        ("tags", "a"),
        ("tags", "b"),
    ]


def test_a_payload_without_entities() -> None:
    parse = payload_parse("/greet")
    assert parse is not None
    assert parse["intent"]["name"] == "greet"


@pytest.mark.parametrize("text", ["hello", "/", "/ a", "/a b", '/a{"b": }', "/a/b", "9/10"])
def test_other_texts_are_no_payloads(text: str) -> None:
    assert payload_parse(text) is None
