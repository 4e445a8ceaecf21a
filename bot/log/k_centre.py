"""Chooses texts that are unlike all that was seen: k-centre greedy over embeddings.

After Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
ICLR 2018, section 4.2.
"""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # (texts, dim), of length one


def k_centre(
    pool: Vectors, centres: Vectors, k: int, weights: Vectors | None = None
) -> list[tuple[int, float]]:
    """Up to k of the pool, each the farthest from the centres and those chosen before.

    `weights`, (texts,): what makes a distance count more, such as how unsure the model is of a
    text. Returns (index, cosine distance when chosen); without centres the first is the one
    farthest from the pool's mean.
    """
    if len(pool) == 0 or k <= 0:
        return []
    if len(centres):
        nearest = 1.0 - (pool @ centres.T).max(axis=1)  # (pool,)
    else:
        mean = pool.mean(axis=0)
        nearest = 1.0 - pool @ (mean / (np.linalg.norm(mean) or 1.0))
    chosen: list[tuple[int, float]] = []
    for _ in range(min(k, len(pool))):
        index = int((nearest if weights is None else nearest * weights).argmax())
        distance = float(nearest[index])
        if distance <= 1e-6:
            break
        chosen.append((index, round(min(distance, 1.0), 4)))
        nearest = np.minimum(nearest, 1.0 - pool @ pool[index])
        nearest[index] = -1.0  # below whatever is left, also weighed
    return chosen


def nearest_of(pool: Vectors, others: Vectors) -> tuple[NDArray[np.intp], Vectors]:
    """For each of the pool its nearest of the others, and their cosine."""
    if len(others) == 0:
        return np.zeros(len(pool), dtype=np.intp), np.full(len(pool), -1.0, dtype=np.float32)
    likeness = pool @ others.T  # (pool, others)
    index = likeness.argmax(axis=1)
    return index, likeness[np.arange(len(pool)), index]
