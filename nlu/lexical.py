"""The last rung of the ladder: the nearest training texts by hashed character n-grams."""

import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlu.engine import Floats, Query
from nlu.errors import BundleError, EngineFailed
from nlu.examples import Example
from nlu.labels import TEXT_HEADS, Labels

ARRAYS = "lexical.npz"
_BUCKETS = 1 << 16
_LENGTHS = (3, 4)


class LexicalEngine:
    """TF-IDF cosine similarity to the training texts; needs no model, only numpy."""

    mode = "lexical"
    calibration_prefix = "lexical."

    def __init__(self, folder: Path) -> None:
        try:
            with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
                self._arrays = {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError) as error:
            raise BundleError(folder / ARRAYS, f"cannot be read: {error}") from None

    def classify(self, batch: Sequence[Query]) -> dict[str, Floats]:
        """For each label the similarity of its nearest text, (batch, labels); no tags."""
        heads = [head for head in TEXT_HEADS if f"{head}.starts" in self._arrays]
        return {
            head: np.stack([self._nearest(head, query.text) for query in batch]) for head in heads
        }

    def embed(self, batch: Sequence[Query]) -> Floats:
        """Raises EngineFailed: there are no embeddings without a model."""
        raise EngineFailed("no model can embed texts just now; only the lexical fallback is left")

    def _nearest(self, head: str, text: str) -> Floats:
        arrays = self._arrays
        query = np.zeros(_BUCKETS, dtype=np.float32)
        counts = _buckets(text)
        if counts:
            columns = np.fromiter(counts.keys(), dtype=np.int64)
            tf = 1 + np.log(np.fromiter(counts.values(), dtype=np.float32))
            query[columns] = tf * arrays["idf"][columns]
            query /= max(float(np.linalg.norm(query)), 1e-9)
        products = arrays[f"{head}.data"] * query[arrays[f"{head}.columns"]]
        scores = np.add.reduceat(products, arrays[f"{head}.rows"])  # (texts,)
        # Texts are stored label after label.
        best: Floats = np.maximum.reduceat(scores, arrays[f"{head}.starts"])  # (labels,)
        return best.astype(np.float32)


def write_lexical(folder: Path, examples: Sequence[Example], labels: Labels) -> None:
    """Writes the index of the training texts."""
    frequency: Counter[int] = Counter()
    for example in examples:
        frequency.update(_buckets(example.text).keys())
    idf = np.ones(_BUCKETS, dtype=np.float32)
    for bucket, count in frequency.items():
        idf[bucket] = 1 + np.log((1 + len(examples)) / (1 + count))
    arrays: dict[str, NDArray[Any]] = {"idf": idf}
    for head in TEXT_HEADS:
        names = labels.of(head)
        if names:
            arrays |= _head_arrays(head, names, examples, idf)
    np.savez_compressed(folder / ARRAYS, **arrays)  # type: ignore[arg-type]


def _head_arrays(
    head: str, names: tuple[str, ...], examples: Sequence[Example], idf: Floats
) -> dict[str, NDArray[Any]]:
    columns: list[int] = []
    data: list[float] = []
    rows: list[int] = []
    starts: list[int] = []
    for name in names:
        starts.append(len(rows))
        for example in examples:
            if getattr(example, head) != name:
                continue
            counts = _buckets(example.text) or Counter({0: 1})
            weights = np.array([(1 + np.log(n)) * idf[bucket] for bucket, n in counts.items()])
            weights /= np.linalg.norm(weights)
            rows.append(len(columns))
            columns += counts.keys()
            data += weights.tolist()
    return {
        f"{head}.columns": np.array(columns, dtype=np.int32),
        f"{head}.data": np.array(data, dtype=np.float32),
        f"{head}.rows": np.array(rows, dtype=np.int64),
        f"{head}.starts": np.array(starts, dtype=np.int64),
    }


def _buckets(text: str) -> Counter[int]:
    words = text.lower().split()
    grams: list[str] = [f"={word}" for word in words]
    for word in words:
        padded = f" {word} "
        for length in _LENGTHS:
            grams += [padded[at : at + length] for at in range(len(padded) - length + 1)]
    return Counter(zlib.crc32(gram.encode()) % _BUCKETS for gram in grams)
