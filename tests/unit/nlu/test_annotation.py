import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlu.annotation import parse_annotated, write_annotated
from nlu.examples import EntitySpan


def test_short_form() -> None:
    text, spans = parse_annotated("where is [HP-204418](order_number)?")
    assert text == "where is HP-204418?"
    assert spans == (EntitySpan(start=9, end=18, entity="order_number"),)


def test_json_form_carries_value_and_role() -> None:
    text, spans = parse_annotated(
        '[amex]{"entity": "method", "value": "American Express", "role": "a"} ok'
    )
    assert text == "amex ok"
    assert spans == (
        EntitySpan(start=0, end=4, entity="method", value="American Express", role="a"),
    )


def test_old_value_form() -> None:
    assert parse_annotated("[NYC](city:New York)")[1][0].value == "New York"


def test_other_brackets_are_text() -> None:
    line = "see [the note] (page 3) and {this}"
    assert parse_annotated(line) == (line, ())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('[a]{"entity": }', "not JSON"),
        ('[a]{"entity": "x", "colour": "y"}', "colour"),
        ('[a]{"value": "y"}', "entity"),
        ('[a]{"entity": 3}', "strings"),
    ],
)
def test_broken_annotations_say_what_is_wrong(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_annotated(line)


letters = "ab é客'\"{}():,\\/"
plain = st.text(letters, max_size=12)
inner = st.text(letters, min_size=1, max_size=8)
names = st.text("ab_", min_size=1, max_size=6)
values = st.none() | st.text(letters, min_size=1, max_size=8)


@given(st.lists(st.tuples(plain, inner, names, values, values), max_size=4), plain)
def test_what_is_written_is_read_again(parts: list[tuple], tail: str) -> None:  # type: ignore[type-arg]
    text, spans = "", []
    for before, words, entity, value, role in parts:
        text += before
        span = EntitySpan(
            start=len(text), end=len(text) + len(words), entity=entity, value=value, role=role
        )
        spans.append(span)
        text += words
    text += tail
    assert parse_annotated(write_annotated(text, tuple(spans))) == (text, tuple(spans))


@given(st.text(max_size=60))
def test_any_line_is_read_or_refused_with_a_value_error(line: str) -> None:
    try:
        text, spans = parse_annotated(line)
    except ValueError:
        return
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
