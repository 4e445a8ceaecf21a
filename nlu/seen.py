"""Which examples a model was trained on, as fingerprints: what is new to it can be told."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlu.examples import Example

FILE = "seen.npz"

Fingerprints = NDArray[np.uint64]  # sorted


def write_seen(folder: Path, examples: Iterable[Example]) -> None:
    """Writes the fingerprints of a model's training examples into its bundle."""
    np.savez_compressed(folder / FILE, seen=np.unique(_fingerprints(examples)))


def read_seen(folder: Path) -> Fingerprints:
    """The fingerprints in a bundle; none where it is older than they are."""
    path = folder / FILE
    if not path.is_file():
        return np.zeros(0, dtype=np.uint64)
    with np.load(path, allow_pickle=False) as arrays:
        found: Fingerprints = arrays["seen"]
    return found


def told_apart(
    examples: Sequence[Example], seen: Fingerprints
) -> tuple[list[Example], list[Example]]:
    """(new, known): a text whose labels have changed is new."""
    known = np.isin(_fingerprints(examples), seen)
    pairs = list(zip(examples, known.tolist(), strict=True))
    return [e for e, old in pairs if not old], [e for e, old in pairs if old]


def _fingerprints(examples: Iterable[Example]) -> Fingerprints:
    return np.array([_fingerprint(example) for example in examples], dtype=np.uint64)


def _fingerprint(example: Example) -> int:
    parts = (example.text, example.intent, example.emotion, example.spans)
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")
