"""Labelled texts to compare with: of each intent a sample, and how its neighbours vote."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.learning.datasets.row import Row
from bot.learning.guard.likeness import lexical
from bot.learning.guard.reading import code
from bot.learning.guard.terms import GuardTerms

# Nobody's word; it is never anybody's own.
NOBODY = 0
_BATCH = 1024
# Nearer neighbours count for much more.
_SHARPNESS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What the neighbours of a text say: of its label, and of the likeliest other; 0 to 1 each."""

    given: float
    likely: str
    share: float


class Sample:
    """At most so many texts of each intent, drawn by the hash of their turn: always the same."""

    def __init__(self, terms: GuardTerms) -> None:
        self._terms = terms
        # By intent a heap of (minus the lot, text, customer, author, turn).
        self._found: dict[str, list[tuple[int, str, int, int, int]]] = {}

    def offer(self, row: Row, *, author: int) -> None:
        """Perhaps take a row in."""
        if row.intent is None:
            return
        heap = self._found.setdefault(row.intent, [])
        turn = code(row.turn_id)
        item = (-turn, row.text, code(row.customer), author, turn)
        if len(heap) < self._terms.pool_per_intent:
            heapq.heappush(heap, item)
        elif item > heap[0]:
            heapq.heapreplace(heap, item)

    def freeze(self) -> "Pool":
        """The sample as vectors."""
        most = max(1, self._terms.pool_rows // max(1, len(self._found)))
        items = [
            (intent, *item[1:])
            for intent in sorted(self._found)
            for item in heapq.nlargest(most, self._found[intent])
        ]
        return Pool(items, self._terms)


class Pool:
    """The sample, ready to be asked."""

    def __init__(self, items: Sequence[tuple[str, str, int, int, int]], terms: GuardTerms) -> None:
        self._terms = terms
        self._embed = terms.embed or lexical
        self._names = sorted({item[0] for item in items})
        self._places = {name: place for place, name in enumerate(self._names)}
        self._labels = np.array([self._places[item[0]] for item in items], dtype=np.int64)
        self._customers, self._authors, self._turns = (
            np.array([item[column] for item in items], dtype=np.uint64) for column in (2, 3, 4)
        )
        texts = [item[1] for item in items]
        parts = [
            self._embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)
        ]
        # (pool, dim)
        self._vectors = np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)

    def votes(self, rows: Sequence[Row], *, authors: Sequence[int]) -> list[Vote | None]:
        """The vote on each row; None where too few others know its label to speak of it.

        Nobody speaks for themselves: of the same customer or author no row is asked. `authors` are
        as they were offered; NOBODY shuts nobody out.
        """
        if not rows or not len(self._labels):
            return [None] * len(rows)
        alike = self._embed([row.text for row in rows]) @ self._vectors.T  # (rows, pool)
        customers = np.array([code(row.customer) for row in rows], dtype=np.uint64)
        turns = np.array([code(row.turn_id) for row in rows], dtype=np.uint64)
        said_by = np.array(authors, dtype=np.uint64)
        own = self._customers[None, :] == customers[:, None]
        own |= self._turns[None, :] == turns[:, None]
        own |= (self._authors[None, :] == said_by[:, None]) & (said_by != NOBODY)[:, None]
        alike = np.where(own, 0, np.maximum(alike, 0)) ** _SHARPNESS
        return [
            self._vote(row, weights, others)
            for row, weights, others in zip(rows, alike, ~own, strict=True)
        ]

    def _vote(self, row: Row, weights: NDArray[Any], others: NDArray[np.bool_]) -> Vote | None:
        place = self._places.get(str(row.intent))
        if place is None or (others & (self._labels == place)).sum() < self._terms.support_least:
            return None
        count = min(self._terms.neighbours, len(weights))
        nearest = np.argpartition(-weights, count - 1)[:count]
        votes = np.bincount(
            self._labels[nearest], weights=weights[nearest], minlength=len(self._names)
        )
        if votes.sum() <= 0:
            return None
        shares = votes / votes.sum()
        given = float(shares[place])
        shares[place] = -1
        likely = int(shares.argmax())
        if shares[likely] <= 0:
            return None
        return Vote(given=given, likely=self._names[likely], share=float(shares[likely]))
