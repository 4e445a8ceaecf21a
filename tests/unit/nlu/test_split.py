from hypothesis import given
from hypothesis import strategies as st

from nlu.examples import Example
from nlu.split import stable_split


def examples(counts: dict[str, int]) -> list[Example]:
    return [
        Example(text=f"{name} {n}", intent=name)
        for name, count in counts.items()
        for n in range(count)
    ]


def test_about_the_share_is_held_out_and_nothing_is_lost() -> None:
    train, held_out = stable_split(examples({"a": 500, "b": 100, "c": 30}), 0.2, 1)
    assert 90 <= len(held_out) <= 160
    assert len(train) + len(held_out) == 630


def test_the_same_text_stays_on_one_side() -> None:
    twice = examples({"a": 20}) + [Example(text=f"A {n} ", emotion="happy") for n in range(20)]
    train, held_out = stable_split(twice, 0.25, 3)
    assert held_out
    sides = [{e.text.lower().strip() for e in side} for side in (train, held_out)]
    assert not sides[0] & sides[1]


def test_the_seed_decides() -> None:
    data = examples({"a": 40, "b": 40})
    assert stable_split(data, 0.1, 5) == stable_split(data, 0.1, 5)
    assert stable_split(data, 0.1, 5) != stable_split(data, 0.1, 6)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 30), min_size=1),
    st.dictionaries(st.sampled_from("abcde"), st.integers(0, 30)),
    st.floats(0, 0.9),
)
def test_what_was_trained_on_is_never_held_out_later(
    before: dict[str, int], more: dict[str, int], share: float
) -> None:
    grown = {name: before.get(name, 0) + more.get(name, 0) for name in {*before, *more}}
    train, _ = stable_split(examples(before), share, 7)
    _, held_out = stable_split(examples(grown), share, 7)
    trained = {e.text for e in train}
    again = {e.text for e in held_out} & trained
    # But for the one text of a label that had no other to be trained on.
    assert all(sum(e.intent == text[0] for e in train) == 1 for text in again)
    assert {e.intent for e in train} == set(before)
