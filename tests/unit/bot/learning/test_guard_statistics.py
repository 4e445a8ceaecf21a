"""The guard's tests and counts: what they find, and how seldom they find what is not there."""

import random
import string
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.learning.guard.likeness import lexical
from bot.learning.guard.newcomers import spread_of
from bot.learning.guard.phrases import LONGEST, Sketch, phrases_of
from bot.learning.guard.pool import NOBODY, Sample
from bot.learning.guard.reading import code, leaning
from bot.learning.guard.shifts import Shares, find_shifts
from bot.learning.guard.terms import GuardTerms
from bot.learning.guard.voices import Voices
from tests.unit.bot.learning.guard_rows import INTENTS, make

TERMS = GuardTerms()


def voices(rates: list[float], rows: int, draw: np.random.Generator) -> Voices:
    found = Voices()
    for voice, rate in enumerate(rates):
        found.rows[voice] = rows
        found.contradicted[voice] = int(draw.binomial(rows, rate))
    return found


def test_agents_who_err_alike_do_not_stand_out() -> None:
    draw = np.random.default_rng(3)
    weeks = [voices([0.02] * 6, 200, draw).outliers(TERMS) for _ in range(300)]
    assert sum(bool(found) for found in weeks) <= 1


def test_an_agent_who_flips_one_label_in_twenty_stands_out_alone() -> None:
    draw = np.random.default_rng(3)
    weeks = [voices([0.02, 0.02, 0.07, 0.02], 600, draw).outliers(TERMS) for _ in range(100)]
    assert sum(2 in found for found in weeks) >= 90
    assert sum(len(found) > 1 for found in weeks) == 0
    one = next(found[2] for found in weeks if 2 in found)
    assert (one.rows, one.contradicted >= 12) == (600, True)
    assert one.others == pytest.approx(0.02, abs=0.01)


def test_a_sole_agent_stands_out_from_nobody() -> None:
    assert voices([0.9], 100, np.random.default_rng(3)).outliers(TERMS) == {}


def test_a_little_more_than_the_others_is_no_reason_however_sure() -> None:
    found = Voices()
    for voice, contradicted in enumerate((15_000, 10_000, 10_000)):
        found.rows[voice], found.contradicted[voice] = 100_000, contradicted
    assert found.outliers(TERMS) == {}


def shares(counts: dict[str, int], taken: dict[str, int] | None = None) -> Shares:
    found = Shares(taken=Counter(taken or {}))
    for intent, count in counts.items():
        found.counts["labelled", intent] = count
    found.totals["labelled"] = sum(counts.values())
    return found


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 400), min_size=2),
    st.integers(1, 5),
)
def test_the_same_mix_is_no_shift_at_any_size(mix: dict[str, int], times: int) -> None:
    more = {intent: count * times for intent, count in mix.items()}
    assert find_shifts(shares(mix), shares(more, more), TERMS) == []
    assert find_shifts(shares(more), shares(mix, mix), TERMS) == []


def test_chance_alone_is_seldom_a_shift() -> None:
    draw = np.random.default_rng(5)
    mix = draw.dirichlet(np.ones(40))
    names = [f"i{at}" for at in range(40)]
    found = 0
    for _ in range(200):
        old, new = draw.multinomial(2000, mix), draw.multinomial(800, mix)
        found += bool(
            find_shifts(
                shares(dict(zip(names, old.tolist(), strict=True))),
                shares(dict(zip(names, new.tolist(), strict=True))),
                TERMS,
            )
        )
    assert found <= 1


def test_a_rise_is_too_much_beyond_the_factor_and_small_parents_say_nothing() -> None:
    parent, fresh = {"a": 100, "b": 900}, {"a": 500, "b": 500}
    (shift,) = find_shifts(shares(parent), shares(fresh), TERMS)
    assert (shift.kind, shift.key, shift.surplus) == ("rise", ("labelled", "a"), 200)
    small = {"a": 10, "b": 90}
    assert find_shifts(shares(small), shares(fresh), TERMS) == []
    # Nor is an intent that the parent hardly has.
    assert find_shifts(shares({"a": 4, "b": 900}), shares(fresh), TERMS) == []


def test_a_fall_counts_when_the_labels_were_taken_away() -> None:
    parent, fresh = {"a": 500, "b": 500}, {"a": 20, "b": 980}
    assert find_shifts(shares(parent), shares(fresh), TERMS) == []
    (shift,) = find_shifts(shares(parent), shares(fresh, {"a": 300}), TERMS)
    assert (shift.kind, shift.key[1], shift.surplus) == ("fall", "a", 300)


@given(st.lists(st.sampled_from("abcdef"), min_size=1))
def test_the_spread_is_between_one_and_the_number_of_kinds(kinds: list[str]) -> None:
    counts = Counter(kinds)
    assert 1 <= spread_of(counts) <= len(counts) + 1e-9
    assert spread_of(Counter(dict.fromkeys("abcde", 7))) == pytest.approx(5)


@given(st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=4), max_size=12))
def test_phrases_are_the_runs_of_up_to_four_words(words: list[str]) -> None:
    found = phrases_of("  ".join(words).upper() + "?")
    expected = {
        " ".join(words[start:end])
        for start in range(len(words))
        for end in range(start + 1, min(len(words), start + LONGEST) + 1)
    }
    assert found == expected


def test_scripts_without_spaces_have_letters_for_words() -> None:
    assert phrases_of("退款,ok") == {"退", "款", "退 款", "ok", "款 ok", "退 款 ok"}


def test_a_sketch_forgets_nothing_that_is_frequent_and_keeps_within_its_bound() -> None:
    draw = random.Random(2)
    texts = [f"alpha beta w{draw.randrange(1000)}" for _ in range(60)]
    sketch = Sketch()
    for text in texts:
        sketch.add(text)
    assert {"alpha", "beta", "alpha beta"} <= set(
        sketch.frequent(least=60, most=50).of("alpha beta gamma")
    )
    assert sketch.frequent(least=61, most=50).of("alpha beta") == []
    # With room for fewer than there are, only the fullest cells count.
    assert len(sketch.frequent(least=1, most=5).of(" ".join(texts))) <= 5


@given(st.lists(st.text(max_size=40), max_size=5))
def test_vectors_of_letters_have_length_one_whatever_the_text(texts: list[str]) -> None:
    found = lexical(texts)
    assert found.shape == (len(texts), 512)
    lengths = np.linalg.norm(found, axis=1)
    assert all(abs(length - 1) < 1e-5 or length == 0 for length in lengths)


def test_like_texts_have_like_vectors() -> None:
    one, like, other, han, han_like = lexical(
        [
            "where is my parcel",
            "Where's my PARCEL?",
            "cancel a card",
            "我的包裹在哪里",
            "包裹在哪",
        ]
    )
    assert one @ like > 0.8 > 0.3 > one @ other
    assert han @ han_like > 0.5


@pytest.mark.parametrize("own", ["agent", "customer"])
def test_nobody_votes_on_their_own_rows(own: str) -> None:
    draw = random.Random(1)
    said = make("x", "intent_a", draw, intent="intent_b", customer="cus")
    sample = Sample(GuardTerms(support_least=1))
    for at in range(6):
        sample.offer(make(f"a{at}", "intent_a", draw), author=code("ann"))
        # The same words under the same false label.
        echo = make(f"e{at}", "intent_a", draw, text=said.text, intent="intent_b")
        if own == "customer":
            echo = replace(echo, customer="cus")
        sample.offer(echo, author=code("eve" if own == "agent" else "bob"))
    sample.offer(make("b", "intent_b", draw), author=code("ann"))
    pool = sample.freeze()
    (vote,) = pool.votes([said], authors=[code("eve")])
    assert vote is not None
    assert vote.likely == "intent_a"
    assert vote.given < 0.01
    (vote,) = pool.votes([replace(said, customer="another")], authors=[NOBODY])
    assert vote is not None
    assert vote.given > 0.5


def test_a_sample_is_bounded_and_the_same_in_any_order() -> None:
    rows = [make(at, INTENTS[at % 3], random.Random(at)) for at in range(90)]
    terms = GuardTerms(pool_rows=30, pool_per_intent=20)

    def turns(order: list[int]) -> set[int]:
        sample = Sample(terms)
        for at in order:
            sample.offer(rows[at], author=NOBODY)
        return set(sample.freeze()._turns.tolist())

    first = turns(list(range(90)))
    assert len(first) == 30
    assert first == turns(list(range(89, -1, -1)))


def test_what_a_model_leans_to_is_never_its_fallback() -> None:
    draw = random.Random(1)
    row = make("x", "intent_a", draw, ranking={"nlu_fallback": 0.9, "intent_b": 0.05, "c": 0.04})
    assert leaning(row) == "intent_b"
    assert leaning(make("x", "intent_a", draw, ranking={}, predicted="nlu_fallback")) is None
    assert leaning(make("x", "intent_a", draw, ranking={}, predicted="intent_b")) == "intent_b"
