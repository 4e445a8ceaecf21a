from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nlu.examples import EntitySpan
from nlu.spans import from_tags, tag_names, to_tags
from nlu.tokens import Word


def words_of(text: str) -> list[Word]:
    words, at = [], 0
    for number, part in enumerate(text.split(" ")):
        words.append(Word(token=number + 1, start=at, end=at + len(part)))
        at += len(part) + 1
    return words


def test_tags_follow_the_words_that_a_span_touches() -> None:
    span = EntitySpan(start=4, end=11, entity="product")
    assert to_tags(words_of("the red mug is lost"), [span]) == [
        "O", "B-product", "I-product", "O", "O",
    ]  # fmt: skip


def test_role_and_group_survive() -> None:
    span = EntitySpan(start=0, end=1, entity="city", group="2")
    words = words_of("a")
    (found,) = from_tags(words, to_tags(words, [span]), [0.5])
    assert found.span == span
    assert found.confidence == 0.5


def test_an_inside_tag_that_continues_nothing_begins_a_span() -> None:
    found = from_tags(words_of("a b c"), ["O", "I-x", "I-y"], [1.0, 1.0, 1.0])
    assert [(f.span.start, f.span.end, f.span.entity) for f in found] == [(2, 3, "x"), (4, 5, "y")]


def test_a_span_is_as_sure_as_its_least_sure_word() -> None:
    (found,) = from_tags(words_of("a b"), ["B-x", "I-x"], [0.9, 0.4])
    assert found.confidence == 0.4


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, list[EntitySpan]]:
    parts = draw(st.lists(st.text("abcé", min_size=1, max_size=4), min_size=1, max_size=8))
    kinds = draw(
        st.lists(st.sampled_from(["", "x", "y"]), min_size=len(parts), max_size=len(parts))
    )
    words = words_of(" ".join(parts))
    spans: list[EntitySpan] = []
    for word, kind in zip(words, kinds, strict=True):
        if not kind:
            continue
        longer = draw(st.booleans())
        if longer and spans and spans[-1].entity == kind and spans[-1].end == word.start - 1:
            spans[-1] = EntitySpan(start=spans[-1].start, end=word.end, entity=kind)
        else:
            spans.append(EntitySpan(start=word.start, end=word.end, entity=kind))
    return " ".join(parts), spans


@given(texts_with_spans())
def test_spans_survive_tagging(case: tuple[str, list[EntitySpan]]) -> None:
    text, spans = case
    words = words_of(text)
    tags = to_tags(words, spans)
    assert set(tags) <= set(tag_names(spans))
    assert [found.span for found in from_tags(words, tags, [1.0] * len(tags))] == spans


@given(st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y"]), max_size=10))
def test_any_tags_give_ordered_spans_inside_the_text(tags: list[str]) -> None:
    words = words_of(" ".join("w" * len(tags)))[: len(tags)]
    spans = [found.span for found in from_tags(words, tags, [1.0] * len(tags))]
    assert all(a.end < b.start for a, b in pairwise(spans))
    assert sum(tag != "O" for tag in tags) == sum((s.end - s.start + 1) // 2 for s in spans)
