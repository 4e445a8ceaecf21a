"""Groups among vectors: what is alike is one group, strays are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bot.learning.clusters import find_clusters


def bundle(centre: int, count: int, *, spread: float = 0.05, seed: int = 0) -> NDArray[np.float32]:
    """Vectors around an axis, (count, 32)."""
    noise = np.random.default_rng(seed + centre).normal(size=(count, 32)) * spread
    noise[:, centre] += 1.0
    return unit(noise)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    made: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(
        np.float32
    )
    return made


def strays(count: int) -> NDArray[np.float32]:
    """Vectors at right angles to each other, from the far end of the axes."""
    return np.eye(32, dtype=np.float32)[::-1][:count]


def test_two_groups_are_told_apart_and_strays_left_out() -> None:
    vectors = np.concatenate([bundle(0, 6), strays(8), bundle(1, 9)])
    found = find_clusters(vectors)
    assert [sorted(one.indices) for one in found] == [list(range(14, 23)), list(range(6))]


def test_one_group_is_found_among_nothing_else() -> None:
    (found,) = find_clusters(bundle(3, 5))
    assert sorted(found.indices) == [0, 1, 2, 3, 4]


def test_fewer_than_a_groups_texts_are_none() -> None:
    assert find_clusters(bundle(3, 3)) == []
    assert len(find_clusters(bundle(3, 3), least=3)) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_anything_is_no_group(count: int) -> None:
    vectors = np.zeros((count, 32), dtype=np.float32)
    assert find_clusters(vectors, least=1) == []


def test_the_most_typical_stands_first_with_its_likeness_to_the_middle() -> None:
    vectors = np.concatenate([bundle(0, 6, spread=0.01), bundle(0, 1, spread=0.04, seed=9)])
    (found,) = find_clusters(vectors)
    assert found.indices[-1] == 6
    assert list(found.likeness) == sorted(found.likeness, reverse=True)
    middle = vectors.mean(axis=0)
    cosines = vectors[list(found.indices)] @ middle / np.linalg.norm(middle)
    assert found.likeness == pytest.approx(cosines.tolist(), abs=1e-5)
    assert found.cohesion == pytest.approx(float(cosines.mean()), abs=1e-5)


def test_no_one_distance_fits_all_topics() -> None:
    # Two bundles at a cosine of about 0.5, and one that is as loose within.
    one, other = bundle(0, 6, spread=0.01), bundle(1, 6, spread=0.01)
    near = unit((one + other * 1.7).astype(np.float64))
    loose = bundle(9, 8, spread=0.17)
    assert float((loose @ loose.T)[~np.eye(8, dtype=bool)].mean()) == pytest.approx(0.5, abs=0.1)
    found = find_clusters(np.concatenate([one, near, loose]))
    groups = {frozenset(one.indices) for one in found}
    tight = {frozenset(range(6)), frozenset(range(6, 12))}
    assert tight < groups
    # Most of the loose one is a group, too; a bound can rule it out.
    assert [len(one) for one in groups if min(one) >= 12] == [8]
    tighter = find_clusters(np.concatenate([one, near, loose]), apart=0.3)
    assert {frozenset(one.indices) for one in tighter} == {
        frozenset(range(6)),
        frozenset(range(6, 12)),
    }


def test_what_a_branch_is_worth_can_be_told_and_nothing_is_taken_twice() -> None:
    vectors = np.concatenate([bundle(0, 9), bundle(1, 5), strays(4)])
    wanted = np.zeros(len(vectors))
    wanted[9:14] = 1.0
    (found,) = find_clusters(vectors, worth=lambda all_: all_.sum_of(wanted))
    assert sorted(found.indices) == list(range(9, 14))
    assert len(find_clusters(vectors, most=1)) == 1


def test_what_only_another_view_shows_is_a_group_too() -> None:
    # Five texts that are strays by their words, and that are taken for the same.
    vectors = np.concatenate([bundle(0, 6), strays(8)])
    beside = np.concatenate([strays(9), bundle(0, 5)])
    (words,) = find_clusters(vectors)
    assert sorted(words.indices) == list(range(6))
    found = find_clusters(vectors, views=[beside])
    assert [sorted(one.indices) for one in found] == [list(range(6)), list(range(9, 14))]
    # Its texts are told by the vectors, whichever view shows it.
    assert found[1].cohesion == pytest.approx(5**-0.5, abs=1e-5)
    # Of two views of the same group one is taken.
    assert len(find_clusters(vectors, views=[vectors])) == 1


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    least=st.integers(1, 6),
    seed=st.integers(0, 50),
)
def test_groups_are_disjoint_large_enough_and_do_not_hang_on_the_order(
    sizes: list[int], least: int, seed: int
) -> None:
    vectors = np.concatenate([bundle(place, size) for place, size in enumerate(sizes)])
    found = find_clusters(vectors, least=least)
    taken = [index for one in found for index in one.indices]
    assert len(taken) == len(set(taken))
    assert all(len(one.indices) >= least for one in found)
    assert [one.worth for one in found] == sorted((one.worth for one in found), reverse=True)
    order = np.random.default_rng(seed).permutation(len(vectors))
    shuffled = find_clusters(vectors[order], least=least)
    groups = {frozenset(one.indices) for one in found}
    assert {frozenset(int(order[i]) for i in one.indices) for one in shuffled} == groups
