"""Vectors of texts by their letters, for comparing texts without a model."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DIM = 512
_NOT_WORDS = re.compile(r"[\W_]+")
# Scripts without spaces: there a letter is nearly a word.
DENSE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_DENSE = re.compile(f"[{DENSE}]")
_SIGN = 1 << 24


def lexical(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors of hashed character n-grams, (texts, DIM).

    Signed feature hashing after Weinberger et al., "Feature Hashing for Large Scale Multitask
    Learning", ICML 2009; square roots, so that a repeated word does not outweigh the rest.
    """
    found = np.zeros((len(texts), DIM), dtype=np.float32)
    for row, text in zip(found, texts, strict=True):
        plain = f" {_NOT_WORDS.sub(' ', text.casefold()).strip()} "
        for length in (1, 2) if _DENSE.search(plain) else (3, 4):
            for start in range(len(plain) - length + 1):
                code = zlib.crc32(plain[start : start + length].encode())
                row[code % DIM] += 1 if code & _SIGN else -1
    found = np.sign(found) * np.sqrt(np.abs(found))
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1), dtype=np.float32)
