from hypothesis import given
from hypothesis import strategies as st

from nlu.examples import Example
from nlu.split import spare_the_few, stable_split


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


def test_of_labels_with_few_texts_nothing_is_held_out() -> None:
    many = examples({"a": 40, "b": 30, "c": 20, "d": 9, "e": 10})
    held_out = [e for e in many if e.text.endswith((" 1", " 2", " 3"))]
    train = [e for e in many if e not in held_out]
    both = spare_the_few(train, held_out)
    assert {e.intent for e in both[1]} == {"a", "b", "c", "e"}
    assert [e for e in both[0] if e in held_out] == [e for e in held_out if e.intent == "d"]
    assert len(both[0]) + len(both[1]) == len(many)
    # Where all have as few, none has few.
    few = examples({"a": 5, "b": 5, "c": 4})
    assert spare_the_few(few[1:], few[:1]) == (few[1:], few[:1])


def test_kinds_are_not_measured_by_each_other() -> None:
    intents = examples({"a": 40, "b": 30, "c": 20})
    emotions = [Example(text=f"{name} day {n}", emotion=name) for name in "xy" for n in range(6)]
    held_out = [intents[0], emotions[0]]
    assert spare_the_few([*intents[1:], *emotions[1:]], held_out)[1] == held_out


def test_the_other_label_of_a_spared_text_goes_with_it() -> None:
    rare = examples({"d": 2})
    twice = [rare[0], Example(text="D 0 ", emotion="happy")]
    train = [*examples({"a": 40, "b": 30}), rare[1], Example(text="fine", emotion="happy")]
    assert spare_the_few(train, twice) == ([*train, *twice], [])
    assert spare_the_few(train, []) == (train, [])


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
