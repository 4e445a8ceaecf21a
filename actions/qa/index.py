"""The search: every wording in memory, scored by meaning, spelling and likely intent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actions.errors import EmptyStoreError
from actions.qa.lexical import LexicalIndex
from actions.qa.pairs import Pair
from actions.understanding import FloatArray

# How much each likeness counts. Chosen by leaving wordings of data/qa out and on five splits of
# bitext_cs; docs/guide/answers.md has the figures, and what each part adds.
DOCUMENT_WEIGHT = 1.0  # question and answer together, by meaning
QUESTION_WEIGHT = 0.3
WORDING_WEIGHT = 0.2  # the nearest of all wordings
SPELLING_WEIGHT = 0.3
PRIOR_WEIGHT = 0.5
_WHOLE = DOCUMENT_WEIGHT + QUESTION_WEIGHT + WORDING_WEIGHT + SPELLING_WEIGHT + PRIOR_WEIGHT
# A question almost word for word as one in the store is that one, whatever else is near.
# Any lower, and templated stores, where many questions are that alike, lose by it.
ECHO_FROM, ECHO_WEIGHT = 0.9, 1.0
RIDGE = 0.3
# Thresholds are good for the scores they were measured on: part of every calibration.
SCORING = (
    f"{DOCUMENT_WEIGHT} {QUESTION_WEIGHT} {WORDING_WEIGHT} {SPELLING_WEIGHT} {PRIOR_WEIGHT} "
    f"{ECHO_FROM} {ECHO_WEIGHT} {RIDGE}"
)
MAX_QUERY = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A pair that was found and how near it is: 0 nothing in common, 1 the same words."""

    pair: Pair
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """All active pairs of the store and the embeddings of their wordings."""

    pairs: tuple[Pair, ...]
    documents: FloatArray  # (pairs, dim), of question and answer together
    owners: NDArray[np.int32]  # (wordings,) which pair; ascending, its question first
    texts: tuple[str, ...]  # (wordings,)
    vectors: FloatArray  # (wordings, dim), each of length one
    embedder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What a query has in common with the store."""

    documents: FloatArray  # (pairs,)
    wordings: FloatArray  # (wordings,)
    spelling: FloatArray  # (pairs,), of question and answer
    prior: FloatArray  # (pairs,), of the pair's intent


class PairIndex:
    """Finds the pairs nearest to a question.

    `like` is an index of the same store by another embedder: what both share is not made twice.
    """

    def __init__(self, corpus: Corpus, like: "PairIndex | None" = None) -> None:
        if not corpus.pairs:
            raise EmptyStoreError
        self.corpus = corpus
        self.size = len(corpus.pairs)
        if like is not None and _same_texts(like.corpus, corpus):
            self._spelling: LexicalIndex = like._spelling
        else:
            self._spelling = LexicalIndex([*corpus.texts, *(p.document for p in corpus.pairs)])
        self._starts = np.searchsorted(corpus.owners, np.arange(self.size))  # (pairs,)
        self.by_id = {pair.id: pair for pair in corpus.pairs}
        self.prior = IntentPrior(corpus)

    def search(self, text: str, vector: FloatArray | None, limit: int) -> list[Hit]:
        """The `limit` nearest pairs, best first; without a vector by spelling alone.

        vector: (dim,), of length one, from the embedder of the corpus.
        """
        wordings, documents = self.spelling(text)
        if vector is None:
            scores = self.by_spelling(wordings, documents)
        else:
            scores = self.combined(
                Likeness(
                    documents=self.corpus.documents @ vector,
                    wordings=self.corpus.vectors @ vector,
                    spelling=documents,
                    prior=self.prior.scores(vector)[self.prior.of_pair],
                )
            )
        return [Hit(pair=self.corpus.pairs[i], score=float(scores[i])) for i in top(scores, limit)]

    def spelling(self, text: str) -> tuple[FloatArray, FloatArray]:
        """Likeness by spelling to all wordings and to all documents: (wordings,), (pairs,)."""
        scores = self._spelling.scores(text[:MAX_QUERY])
        return scores[: -self.size], scores[-self.size :]

    def by_spelling(self, wordings: FloatArray, documents: FloatArray) -> FloatArray:
        """The score of each pair when there is nothing but spelling: (pairs,)."""
        return np.maximum(self._nearest(wordings), documents)

    def combined(self, likeness: Likeness) -> FloatArray:
        """The score of each pair: (pairs,)."""
        nearest = self._nearest(likeness.wordings)
        echo = np.maximum(nearest - ECHO_FROM, 0) / (1 - ECHO_FROM)
        scores: FloatArray = (
            DOCUMENT_WEIGHT * likeness.documents
            + QUESTION_WEIGHT * likeness.wordings[self._starts]
            + WORDING_WEIGHT * nearest
            + SPELLING_WEIGHT * likeness.spelling
            + PRIOR_WEIGHT * np.clip(likeness.prior, 0, 1)
            + ECHO_WEIGHT * echo
        ) / np.float32(_WHOLE)
        return np.clip(scores, 0, 1)

    def of_intent(self, intent: str, limit: int) -> list[Pair]:
        """The first pairs of an intent, in the order of their ids."""
        found = [pair for pair in self.corpus.pairs if pair.intent == intent]
        return found[:limit]

    def _nearest(self, scores: FloatArray) -> FloatArray:
        """The score of each pair's nearest wording: (wordings,) -> (pairs,)."""
        nearest: FloatArray = np.maximum.reduceat(scores, self._starts)
        return nearest


class IntentPrior:
    """How much a question looks like each intent: ridge regression on the store's own vectors.

    Solved in closed form while loading (a matrix of dim x dim), so it needs no training run and
    knows exactly the intents of the store, also of a store that somebody else labelled.
    """

    def __init__(self, corpus: Corpus) -> None:
        intents = sorted({pair.intent for pair in corpus.pairs})
        number = {intent: i for i, intent in enumerate(intents)}
        of_pair = np.asarray([number[pair.intent] for pair in corpus.pairs])  # (pairs,)
        self.of_pair = of_pair
        self.of_wording = of_pair[corpus.owners]  # (wordings,)
        x = corpus.vectors.astype(np.float64)  # (wordings, dim)
        targets = np.eye(len(intents))[self.of_wording]  # (wordings, intents)
        self._inverse = np.linalg.inv(x.T @ x + RIDGE * np.eye(x.shape[1]))  # (dim, dim)
        weights = self._inverse @ (x.T @ targets)  # (dim, intents)
        self._weights: FloatArray = weights.astype(np.float32)

    def scores(self, vectors: FloatArray) -> FloatArray:
        """About 1 for the intent it is, about 0 for the others: (..., dim) -> (..., intents)."""
        found: FloatArray = vectors @ self._weights
        return found

    def scores_without(self, rows: NDArray[np.int64], vectors: FloatArray) -> FloatArray:
        """What `scores` would be for wordings of the corpus had each not been learned from.

        The closed form of leave-one-out for ridge regression: (rows,) -> (rows, intents).
        """
        x = vectors[rows].astype(np.float64)
        leverage = np.einsum("ij,jk,ik->i", x, self._inverse, x)[:, None]  # (rows, 1)
        seen = x @ self._weights.astype(np.float64)
        own = np.eye(self._weights.shape[1])[self.of_wording[rows]]
        left = (seen - leverage * own) / (1 - leverage)
        return np.asarray(left, dtype=np.float32)


def _same_texts(one: Corpus, other: Corpus) -> bool:
    return one.texts == other.texts and one.pairs == other.pairs


def top(scores: FloatArray, limit: int) -> Sequence[int]:
    """The positions of the largest scores, largest first; equal ones in their order."""
    limit = min(limit, len(scores))
    if limit < len(scores):
        found = np.argpartition(-scores, limit - 1)[:limit]
    else:
        found = np.arange(len(scores))
    ordered: list[int] = sorted(found.tolist(), key=lambda i: (-scores[i], i))
    return ordered
