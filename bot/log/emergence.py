"""What came up of late: texts whose likes are newer than chance would have it.

A scan statistic after Kulldorff, "Prospective time periodic geographical disease surveillance using
a scan statistic", Journal of the Royal Statistical Society A 164 (2001): a window is a text's
nearest others, by embedding, and the last part of the time. It knows no bound for a likeness, so it
holds for any embedder.
"""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # (texts, dim), of length one

# The windows: so many nearest texts, and the newest share of all.
NEAREST = (4, 6, 8, 12, 16)
NEWEST = (0.125, 0.25, 0.375, 0.5)
# Of fewer texts there is no before to compare with.
LEAST_TEXTS = 400
_ROWS = 500  # of a matrix of likenesses at a time


def nearest_texts(vectors: Vectors) -> NDArray[np.intp]:
    """(texts, 16): the indices of the texts that each is most like, the most alike first."""
    count = max(NEAREST)
    found = []
    for start in range(0, len(vectors), _ROWS):
        likeness = vectors[start : start + _ROWS] @ vectors.T  # (rows, texts)
        rows = np.arange(len(likeness))
        likeness[rows, start + rows] = -2.0  # itself
        some = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(likeness, some, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(some, order, axis=1))
    return np.concatenate(found)


def emergence(
    nearest: NDArray[np.intp], places: NDArray[np.intp] | None = None
) -> NDArray[np.float64]:
    """(texts,): how surely a topic came up of late.

    It is the largest logarithm of a likelihood ratio over all windows: that those nearest to a
    text lie in the newest part as they do, rather than by its share of all. Without a topic that
    is new one in a hundred texts comes to 4; a text of the older half has 0.

    `places`, (texts,): each text's place in time; without it they are in the order of their time.
    """
    texts = len(nearest)
    places = np.arange(texts) if places is None else places
    of_nearest = places[nearest]  # (texts, 16)
    best = np.zeros(texts)
    for share in NEWEST:
        begins = int(texts * (1 - share))
        late = np.flatnonzero(places >= begins)
        new = of_nearest[late] >= begins  # (newest, 16)
        for count in NEAREST:
            part = new[:, :count].mean(axis=1)
            ratio = np.where(part > share, count * _divergence(part, share), 0.0)
            best[late] = np.maximum(best[late], ratio)
    return best


def false_share(scores: NDArray[np.float64], by_chance: NDArray[np.float64], most: float) -> float:
    """The least score from which at most that share of the scores is what chance has, too.

    `by_chance`, (draws, texts): scores where nothing is new. Infinite where no score will do. As
    Benjamini and Hochberg's false discovery rate, "Controlling the False Discovery Rate" (1995),
    with the chance drawn.
    """
    order = np.sort(scores[scores > 0])[::-1]
    chance = np.sort(by_chance[by_chance > 0])
    false = (len(chance) - np.searchsorted(chance, order, side="left")) / len(by_chance)
    enough = np.flatnonzero(false <= most * np.arange(1, len(order) + 1))
    return float(order[enough[-1]]) if len(enough) else float("inf")


def _divergence(part: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Kullback and Leibler's, of two shares, in nats."""
    rest = 1.0 - part
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.nan_to_num(part * np.log(part / share)) + np.nan_to_num(
            rest * np.log(rest / (1.0 - share))
        )
    return np.asarray(found)
