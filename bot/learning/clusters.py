"""Groups among vectors: the branches of a tree that are most worth a look.

Agglomerative clustering by average linkage on the cosine (Sokal and Michener, "A statistical method
for evaluating systematic relationships", 1958). Its tree is not cut at one distance, which fits
some topics and not others; docs/guide/learning-unknowns.md has the figures behind that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # (texts, dim), of length one


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """The branches of a tree of texts that may be groups, each with its texts side by side."""

    order: NDArray[np.intp]  # (texts,): their indices as the tree has them
    starts: NDArray[np.intp]  # (branches,): where in that order its texts begin
    sizes: NDArray[np.intp]  # (branches,): how many they are
    heights: NDArray[np.float64]  # (branches,): how far its two parts lie apart

    def sum_of(self, values: NDArray[Any]) -> NDArray[Any]:
        """(branches, ...): the sum over the texts of each of what each text has, (texts, ...)."""
        ahead = np.zeros((1, *values.shape[1:]))
        summed = np.concatenate([ahead, np.cumsum(values[self.order], axis=0, dtype=np.float64)])
        found: NDArray[Any] = summed[self.starts + self.sizes] - summed[self.starts]
        return found

    def centres(self, vectors: Vectors) -> Vectors:
        """(branches, dim): the middle of each, of length one."""
        summed = self.sum_of(vectors)
        lengths = np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-9)
        return np.asarray(summed / lengths, dtype=np.float32)


Worth = Callable[[Branches], NDArray[Any]]  # (branches,); 0 for what is no group


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Texts that are alike: their indices, the most typical first, with their likeness.

    `likeness` is each one's cosine to the middle, `cohesion` the mean of them; `worth` is what it
    was chosen by.
    """

    indices: tuple[int, ...]
    likeness: tuple[float, ...]
    cohesion: float
    worth: float


def by_size(branches: Branches) -> NDArray[Any]:
    """What a branch is worth where only its texts count, (branches,)."""
    return np.sqrt(branches.sizes)


def find_clusters(
    vectors: Vectors,
    *,
    views: Sequence[Vectors] = (),
    least: int = 4,
    apart: float = 0.75,
    most: int = 40,
    worth: Worth = by_size,
) -> list[Cluster]:
    """The groups among vectors of length one, (texts, dim), those first that are most worth it.

    Of branches that share texts that is taken which is worth most, the closer its parts are the
    more. `views`: other vectors of length one of the same texts, (texts, any), whose trees have
    branches of their own; `least`: texts in a group; `apart`: the most that two parts of it may lie
    apart, as the mean of one less the cosine; `most`: groups.
    """
    if len(vectors) < max(2, least):
        return []
    branches = [
        one
        for view in (vectors, *views)
        for one in _worth_a_look(_branches(view, least, apart), worth)
    ]
    taken = np.zeros(len(vectors), dtype=bool)
    found: list[Cluster] = []
    for value, members in sorted(branches, key=lambda one: -one[0]):
        if len(found) >= most:
            break
        if not taken[members].any():
            taken[members] = True
            found.append(_cluster(vectors, members, value))
    return found


def _worth_a_look(branches: Branches, worth: Worth) -> Iterator[tuple[float, NDArray[np.intp]]]:
    """What each branch that may be a group is worth, with its texts."""
    worths = worth(branches) * (1.0 - branches.heights)
    for index in np.flatnonzero(worths > 0):
        start = branches.starts[index]
        yield float(worths[index]), branches.order[start : start + branches.sizes[index]]


def _branches(vectors: Vectors, least: int, apart: float) -> Branches:
    from scipy.cluster.hierarchy import leaves_list, linkage

    count = len(vectors)
    tree = linkage(_distances(vectors), "average")  # (texts - 1, 4)
    order = leaves_list(tree).astype(np.intp)
    starts = np.empty(2 * count - 1, dtype=np.intp)
    starts[order] = np.arange(count)
    for number, (one, other) in enumerate(tree[:, :2].astype(np.intp)):
        starts[count + number] = min(starts[one], starts[other])
    heights, sizes = tree[:, 2], tree[:, 3].astype(np.intp)
    kept = (sizes >= least) & (heights <= apart)
    return Branches(
        order=order, starts=starts[count:][kept], sizes=sizes[kept], heights=heights[kept]
    )


def _distances(vectors: Vectors) -> NDArray[np.float64]:
    """One less the cosine of each two, (texts * (texts - 1) / 2), row by row."""
    rows = [np.maximum(1.0 - vectors[i + 1 :] @ vectors[i], 0.0) for i in range(len(vectors) - 1)]
    return np.concatenate(rows).astype(np.float64)


def _cluster(vectors: Vectors, members: NDArray[np.intp], worth: float) -> Cluster:
    mean = vectors[members].mean(axis=0)  # (dim,)
    likeness = vectors[members] @ (mean / (float(np.linalg.norm(mean)) or 1.0))  # (members,)
    order = np.argsort(-likeness, kind="stable")
    return Cluster(
        indices=tuple(int(index) for index in members[order]),
        likeness=tuple(float(value) for value in likeness[order]),
        cohesion=float(likeness.mean()),
        worth=worth,
    )
