import pytest

from nlu.examples import EntitySpan
from nlu.metrics import accuracy, confusions, entity_scores, macro_f1


def test_accuracy_and_macro_f1() -> None:
    truth, guesses = ["a", "a", "b", "b"], ["a", "b", "b", "b"]
    assert accuracy(truth, guesses) == 0.75
    assert macro_f1(truth, guesses) == pytest.approx((2 / 3 + 0.8) / 2)


def test_nothing_scores_nothing() -> None:
    assert accuracy([], []) == macro_f1([], []) == 0.0


def test_confusions_are_counted_most_frequent_first() -> None:
    pairs = confusions(["a", "a", "b"], ["b", "b", "a"])
    assert pairs[0] == {"truth": "a", "guess": "b", "count": 2}


def test_entities_are_right_only_exactly() -> None:
    span = EntitySpan(start=0, end=4, entity="x")
    longer = EntitySpan(start=0, end=5, entity="x")
    scores = entity_scores([[span], [span], []], [[span], [longer], [span]])
    assert (scores["precision"], scores["recall"]) == (0.3333, 0.5)
    assert scores["f1"] == 0.4
    assert scores["per_entity"]["x"]["n"] == 2
