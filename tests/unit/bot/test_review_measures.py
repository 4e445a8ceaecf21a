"""Agreement, suspected labels and novelty, against values that are known from elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.log.agreement import cohen_kappa
from bot.log.confident_joint import confident_joint, error_rates
from bot.log.k_centre import k_centre, nearest_of
from bot.log.review_scores import is_reviewable, lot, margin, own_reasons, primary, text_key


def table(counts: dict[tuple[str, str], int]) -> tuple[list[str], list[str]]:
    """Two lists of labels from a table of how often each pair of them occurred."""
    ones = [one for (one, _), count in counts.items() for _ in range(count)]
    others = [other for (_, other), count in counts.items() for _ in range(count)]
    return ones, others


@pytest.mark.parametrize(
    ("counts", "kappa"),
    [
        # The grant proposals of the English Wikipedia's article on Cohen's kappa.
        ({("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}, 0.4),
        ({("y", "y"): 45, ("y", "n"): 15, ("n", "y"): 25, ("n", "n"): 15}, 0.1304),
        ({("y", "y"): 25, ("y", "n"): 35, ("n", "y"): 5, ("n", "n"): 35}, 0.2593),
        # As scikit-learn 1.7 computes it of the same lists.
        (
            {
                ("negative", "negative"): 1,
                ("positive", "positive"): 1,
                ("negative", "neutral"): 1,
                ("neutral", "neutral"): 1,
                ("positive", "negative"): 2,
                ("neutral", "positive"): 0,
            },
            0.28,
        ),
        ({("a", "a"): 3, ("b", "b"): 4}, 1.0),
        ({("a", "b"): 3, ("b", "a"): 3}, -1.0),
    ],
)
def test_kappa_is_what_others_compute(counts: dict[tuple[str, str], int], kappa: float) -> None:
    assert cohen_kappa(*table(counts)) == pytest.approx(kappa, abs=5e-5)


def test_kappa_without_a_choice_is_not_defined() -> None:
    assert cohen_kappa([], []) is None
    assert cohen_kappa(["a", "a"], ["a", "a"]) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_kappa_is_the_same_from_both_sides(pairs: list[tuple[str, str]]) -> None:
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    there, back = cohen_kappa(ones, others), cohen_kappa(others, ones)
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert there == pytest.approx(back)
        assert -1.0001 <= there <= 1.0001


def test_the_confident_joint_counts_what_the_model_is_sure_of() -> None:
    given_labels = ["a", "a", "a", "b", "b", "b"]
    found = [
        {"a": 0.9, "b": 0.1},
        {"a": 0.7, "b": 0.3},
        {"a": 0.1, "b": 0.9},  # said to be a, and surely b
        {"b": 0.8, "a": 0.2},
        {"b": 0.9, "a": 0.1},
        {"b": 0.4, "a": 0.5},  # under both averages: neither
    ]
    joint = confident_joint(given_labels, found)
    # Averages: a (0.9 + 0.7 + 0.1) / 3 = 0.567, b (0.8 + 0.9 + 0.4) / 3 = 0.7.
    assert joint.counts == {("a", "a"): 2, ("a", "b"): 1, ("b", "b"): 2}
    (suspect,) = joint.suspects
    assert (suspect.index, suspect.given, suspect.likely, suspect.score) == (2, "a", "b", 0.8)


def test_planted_errors_are_found_among_noise() -> None:
    random = np.random.default_rng(3)
    truth = random.integers(0, 4, 400)
    sure = 1 - np.minimum(random.exponential(0.05, 400), 0.6)
    probabilities = np.repeat((1 - sure)[:, None] / 3, 4, axis=1)
    probabilities[np.arange(400), truth] = sure
    said = truth.copy()
    planted = random.choice(400, 20, replace=False)
    said[planted] = (said[planted] + 1) % 4
    joint = confident_joint(
        [str(label) for label in said],
        [{str(label): float(value) for label, value in enumerate(row)} for row in probabilities],
    )
    found = {suspect.index for suspect in joint.suspects}
    # Nobody is accused who is right; about as many are found as are above their class's average.
    assert found <= set(planted.tolist())
    assert len(found) >= 10


def test_rates_of_error_need_enough_cases() -> None:
    rates = error_rates(["a"] * 4 + ["b"] * 6, ["a"] * 4 + ["c"] * 6, least=5)
    assert rates == {"c": 0.875}


def test_the_farthest_come_first_and_each_counts_as_seen() -> None:
    axes = np.eye(4, dtype=np.float32)
    near = (axes[1] * 0.9 + axes[0] * 0.1) / np.linalg.norm(axes[1] * 0.9 + axes[0] * 0.1)
    pool = np.stack([axes[0], axes[1], near, axes[2]])
    chosen = k_centre(pool, axes[:1], 4)
    assert [index for index, _ in chosen][:2] == [1, 3]
    assert [distance for _, distance in chosen] == sorted(
        (distance for _, distance in chosen), reverse=True
    )
    # What is at a centre teaches nothing.
    assert 0 not in [index for index, _ in chosen]
    # What is unsure comes before what is farther and sure; the distance told is the plain one.
    weighed = k_centre(pool, axes[:1], 2, np.array([1, 0.3, 1, 0.3], dtype=np.float32))
    assert [index for index, _ in weighed] == [2, 3]
    assert weighed[0][1] == pytest.approx(1 - float(near @ axes[0]), abs=1e-3)
    assert k_centre(pool[:0], axes, 3) == []
    assert len(k_centre(pool, axes[:0].reshape(0, 4), 4)) == 4
    index, likeness = nearest_of(pool, axes[1:2])
    assert index.tolist() == [0] * 4
    assert likeness[1] == pytest.approx(1.0)


@given(st.lists(st.floats(0, 1), max_size=6))
def test_the_margin_is_between_nothing_and_all(values: list[float]) -> None:
    ranking = [{"name": f"i{place}", "confidence": value} for place, value in enumerate(values)]
    found = margin([{"name": "nlu_fallback", "confidence": 0.3}, *ranking])
    assert (found is None) == (not values)
    assert found is None or 0 <= found <= 1


@given(st.text())
def test_any_text_has_a_key_that_case_and_digits_do_not_change(text: str) -> None:
    assert len(text_key(text)) == 32
    assert text_key(f"  {text}!! ") == text_key(text)
    is_reviewable(text)


def test_keys_tell_texts_apart() -> None:
    assert text_key("Order 17, please") == text_key("order 4711 please!")
    assert text_key("cancel my order") != text_key("track my order")
    assert text_key("我要退货") != text_key("我要换货")


def test_a_lot_is_even_and_stays() -> None:
    lots = [lot(f"turn-{number}", "random") for number in range(4000)]
    assert sum(one < 0.1 for one in lots) / 4000 == pytest.approx(0.1, abs=0.02)
    assert lot("turn-7", "random") == lots[7] != lot("turn-7", "double")


def test_the_rarest_reason_gives_the_place() -> None:
    assert primary({"uncertainty": 0.9, "low_rating": 0.5}) == ("low_rating", 0.59)
    assert primary({"uncertainty": 0.9, "random": 0.4}, drawn=True) == ("random", 0.4)
    assert primary({}) == ("opened", 0.0)


def test_a_smooth_turn_has_no_reason_of_its_own() -> None:
    turn = {
        "ranking": [{"name": "a", "confidence": 0.95}, {"name": "b", "confidence": 0.02}],
        "intent": "a",
        "actions": None,
        "qa_pair_id": None,
        "replies": None,
    }
    assert own_reasons(turn) == {}
    assert own_reasons(turn | {"ranking": None}) == {}
    assert own_reasons(turn | {"actions": ["action_answer"]}) == {"fallback": 0.8}
