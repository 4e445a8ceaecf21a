"""Which wordings are learnt and which are only ever asked."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlu.errors import DataError
from nlu.retriever_pairs import (
    MAX_WORDINGS,
    TaughtPair,
    embedder_id,
    is_tuned,
    read_pairs,
    split_pairs,
    with_wordings,
)

YAML = """\
category: delivery
pairs:
  - id: b
    question: " How long? "
    variants: ["delivery time", "how LONG?"]
    answer: "Three days."
---
category: returns
pairs:
  - {id: a, question: "Can I return it?", answer: "Yes."}
"""


def pair_of(name: str, wordings: int) -> TaughtPair:
    texts = tuple(f"{name} {n}" for n in range(wordings))
    return TaughtPair(id=name, group="g", document=f"{name} document", wordings=texts)


STORE = [pair_of(f"p{n}", 2 + n % 5) for n in range(200)]


def test_pairs_are_read_from_every_document_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(YAML)
    first, second = read_pairs(tmp_path)
    assert (first.id, first.group, first.wordings) == ("a", "returns", ("Can I return it?",))
    assert second.wordings == ("How long?", "delivery time")
    assert second.document == "How long?\nThree days."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pairs: 3", "needs a list `pairs`"),
        ("pairs: [{question: a, answer: b}]", "`id`"),
        ("pairs: [{id: x, question: a, answer: ''}]", "pair x"),
        ("pairs: [{id: x, question: a, variants: [3], answer: b}]", "pair x"),
        ("pairs: [", "cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_its_pair(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "bad.yml").write_text(text)
    with pytest.raises(DataError, match=problem) as caught:
        read_pairs(tmp_path)
    assert "bad.yml" in str(caught.value)


def test_what_customers_asked_is_added_once_and_strangers_are_passed_over() -> None:
    pairs = [pair_of("a", 2), pair_of("b", 1)]
    taught = [("new words", "a"), ("NEW words ", "a"), ("a 1", "a"), ("x", "gone"), (" ", "b")]
    first, second = with_wordings(pairs, taught)
    assert first.wordings == ("a 0", "a 1", "new words")
    assert second == pairs[1]


def test_a_question_that_everybody_asks_is_not_all_that_is_learnt() -> None:
    (pair,) = with_wordings([pair_of("a", 2)], ((f"text {n}", "a") for n in range(500)))
    assert len(pair.wordings) == MAX_WORDINGS


def test_nothing_asked_is_learnt_and_every_learnt_pair_keeps_its_question() -> None:
    split = split_pairs(STORE)
    learnt = {pair.id: pair for pair in split.learnt}
    assert 0.08 < 1 - len(learnt) / len(STORE) < 0.25
    for one in split.asked:
        pair = STORE[one.pair]
        assert one.wording > 0
        assert one.seen == (pair.id in learnt)
        if one.seen:
            assert pair.wordings[one.wording] not in learnt[pair.id].wordings
    for pair in STORE:
        if pair.id in learnt:
            assert learnt[pair.id].wordings[0] == pair.wordings[0]
            assert len(learnt[pair.id].wordings) > 1
    assert {one.seen for one in split.asked} == {True, False}


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=12, unique=True))
def test_what_was_learnt_once_is_never_asked_when_the_store_grows(added: list[str]) -> None:
    before = split_pairs(STORE)
    grown = with_wordings(STORE, [(f"added {text}", "p4") for text in added])
    grown = [*grown, pair_of("another", 4)]
    after = split_pairs(grown)
    learnt = {(pair.id, text) for pair in before.learnt for text in pair.wordings}
    asked = {(grown[one.pair].id, grown[one.pair].wordings[one.wording]) for one in after.asked}
    # Of a pair all of whose wordings drew a low lot one was learnt that may be asked later.
    assert len(learnt & asked) <= 1


def test_lots_do_not_hang_on_the_order_of_the_pairs() -> None:
    turned = [replace(pair) for pair in reversed(STORE)]
    ids = {pair.id for pair in split_pairs(STORE).learnt}
    assert {pair.id for pair in split_pairs(turned).learnt} == ids


def test_the_id_of_an_embedder_says_whether_it_was_tuned() -> None:
    base = embedder_id("/some/where/minilm", ["0123456789abcdef"], tuned=False)
    tuned = embedder_id("minilm", ["0123456789abcdef"], tuned=True)
    assert (base, tuned) == ("minilm-0123456789ab", "minilm-tuned-0123456789ab")
    assert (is_tuned(base), is_tuned(tuned)) == (False, True)
