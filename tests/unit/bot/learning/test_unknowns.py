"""How like what is known a message is, which tells what needs no group."""

import numpy as np
import pytest

from bot.learning.unknowns import likeness_to

AXES = np.eye(8, dtype=np.float32)


def test_like_what_is_known_is_what_two_examples_are_like() -> None:
    known = AXES[[0, 0, 1]]
    # One example alone may be a mistake.
    assert likeness_to(AXES[:2], known) == pytest.approx([1.0, 0.0], abs=1e-6)
    assert likeness_to(AXES[:3], known[:1]).tolist() == [-1.0, -1.0, -1.0]
    assert likeness_to(np.repeat(AXES[:1], 1200, axis=0), known).shape == (1200,)
