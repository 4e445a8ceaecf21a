import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nlu.decoding import best_tags, tag_transitions

O, B, I = 0, 1, 2  # noqa: E741
SEEN = tag_transitions([[O, B, I, I, I], [O, O, B, I, I, O], [B, I, I]] * 10, 3)


def test_a_hole_in_a_long_entity_is_filled() -> None:
    sure = [0.05, 0.05, 0.9]
    words = np.array([[0.05, 0.9, 0.05], sure, [0.5, 0.05, 0.45], sure, sure], np.float32)
    assert words.argmax(axis=1).tolist() == [B, I, O, I, I]
    assert best_tags(words, SEEN) == [B, I, I, I, I]


def test_an_entity_begins_where_it_begins() -> None:
    words = np.array([[0.9, 0.05, 0.05], [0.1, 0.4, 0.5]], np.float32)
    assert best_tags(words, SEEN) == [O, B]


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_path_is_the_best_of_all(rows: list[list[float]]) -> None:
    probabilities = np.array(rows, np.float32)

    def score(path: list[int]) -> float:
        steps = zip([3, *path[:-1]], path, strict=True)
        return float(
            sum(np.log(row[tag]) for row, tag in zip(probabilities, path, strict=True))
            + sum(SEEN[before, tag] for before, tag in steps)
        )

    every = np.stack(np.meshgrid(*[range(3)] * len(rows)), -1).reshape(-1, len(rows)).tolist()
    assert np.isclose(score(best_tags(probabilities, SEEN)), max(map(score, every)), atol=1e-4)
