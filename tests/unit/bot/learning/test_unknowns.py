"""How like what is known a message is, which tells what needs no group."""

import numpy as np
import pytest

from bot.learning.unknowns import likeness_to, with_guesses

AXES = np.eye(8, dtype=np.float32)


def test_like_what_is_known_is_what_two_examples_are_like() -> None:
    known = AXES[[0, 0, 1]]
    # One example alone may be a mistake.
    assert likeness_to(AXES[:2], known) == pytest.approx([1.0, 0.0], abs=1e-6)
    assert likeness_to(AXES[:3], known[:1]).tolist() == [-1.0, -1.0, -1.0]
    assert likeness_to(np.repeat(AXES[:1], 1200, axis=0), known).shape == (1200,)


def test_what_is_taken_for_the_same_is_more_alike_than_its_words() -> None:
    guesses = [{"spelling": 0.5, "time": 0.1}, {"spelling": 0.9, "time": 0.01}, {"weather": 0.9}]
    beside = with_guesses(AXES[:3], guesses)
    assert np.linalg.norm(beside, axis=1) == pytest.approx([1.0, 1.0, 1.0], abs=1e-6)
    likeness = beside @ beside.T
    # Nothing in common in their words: the guesses are two fifths of a likeness.
    assert 0.3 < likeness[0, 1] < 0.4
    assert likeness[0, 2] == pytest.approx(0.0, abs=1e-6)


def test_without_guesses_there_are_the_words_alone() -> None:
    beside = with_guesses(AXES[:2], [{}, {}])
    assert beside @ beside.T == pytest.approx(0.6 * np.eye(2), abs=1e-6)
    assert with_guesses(np.zeros((0, 8), dtype=np.float32), []).shape == (0, 8)
