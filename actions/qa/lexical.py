"""Likeness by spelling: TF-IDF over the 3- and 4-character pieces of words."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from actions.understanding import FloatArray

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SIZES = (3, 4)


class LexicalIndex:
    """Texts that can be compared with a query by the pieces of words they share.

    Pieces instead of words, because customers misspell; it is also what is left to search with
    when no embedding can be had.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(pieces(text)) for text in texts]
        seen: Counter[str] = Counter()
        for count in counts:
            seen.update(count.keys())
        self.size = len(texts)
        self._idf = {
            piece: math.log((1 + self.size) / (1 + number)) + 1 for piece, number in seen.items()
        }
        self._unseen_idf = math.log(1 + self.size) + 1
        rows: dict[str, list[int]] = defaultdict(list)
        weights: dict[str, list[float]] = defaultdict(list)
        for row, count in enumerate(counts):
            for piece, weight in self._weights(count).items():
                rows[piece].append(row)
                weights[piece].append(weight)
        self._postings: dict[str, tuple[NDArray[np.int32], FloatArray]] = {
            piece: (np.asarray(found, np.int32), np.asarray(weights[piece], np.float32))
            for piece, found in rows.items()
        }

    def scores(self, query: str) -> FloatArray:
        """The cosine between the query and each text: (texts,), each from 0 to 1."""
        scores = np.zeros(self.size, dtype=np.float32)  # (texts,)
        for piece, weight in self._weights(Counter(pieces(query))).items():
            rows, weights = self._postings[piece]
            scores[rows] += weight * weights  # a text stands in a posting once
        return scores

    def _weights(self, count: Counter[str]) -> dict[str, float]:
        # What no text has still makes the query longer: a question of which the store knows
        # half the words must not look as near as one of which it knows all.
        raw = {
            piece: (1 + math.log(number)) * self._idf.get(piece, self._unseen_idf)
            for piece, number in count.items()
        }
        length = math.sqrt(sum(weight * weight for weight in raw.values()))
        return {piece: weight / length for piece, weight in raw.items() if piece in self._idf}


def pieces(text: str) -> list[str]:
    """The pieces of all words of a text, each word with its edges marked."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        marked = f" {word} "
        for size in _SIZES:
            found += (marked[i : i + size] for i in range(len(marked) - size + 1))
    return found
