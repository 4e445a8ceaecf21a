"""Turns texts into token ids and words, and batches of them into padded arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word of a text: its first token and its characters `text[start:end]`."""

    token: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A tokenised text."""

    ids: list[int]
    words: tuple[Word, ...] = ()


class TextTokenizer:
    """The tokenizer of a bundle; cut at `max_tokens`, special tokens included."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def encode(self, text: str, *, words: bool = True) -> Encoded:
        """Token ids, and the words with character offsets when they are wanted."""
        encoding = self._tokenizer.encode(text)
        return Encoded(ids=encoding.ids, words=_words(text, encoding) if words else ())


def pad(batch: Sequence[Encoded]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and attention mask, each (batch, tokens), padded to the longest text with 0."""
    lengths = [len(encoded.ids) for encoded in batch]
    ids = np.zeros((len(batch), max(lengths)), dtype=np.int64)  # (batch, tokens)
    mask = np.zeros_like(ids)
    for row, encoded in enumerate(batch):
        ids[row, : lengths[row]] = encoded.ids
        mask[row, : lengths[row]] = 1
    return ids, mask


def token_batches(lengths: Sequence[int], *, max_tokens: int, max_rows: int) -> list[list[int]]:
    """Indexes grouped by length so that each padded batch stays within `max_tokens`.

    A single text longer than the cap gets a batch of its own.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        full = len(current) == max_rows or (len(current) + 1) * lengths[index] > max_tokens
        if current and full:
            batches.append(current)
            current = []
        current.append(index)
    if current:
        batches.append(current)
    return batches


def _words(text: str, encoding: Encoding) -> tuple[Word, ...]:
    words: list[Word] = []
    word_ids, offsets = encoding.word_ids, encoding.offsets
    previous = None
    for token, (word_id, (start, end)) in enumerate(zip(word_ids, offsets, strict=True)):
        if word_id is None:
            previous = None
            continue
        if word_id == previous:
            last = words[-1]
            words[-1] = Word(token=last.token, start=last.start, end=end)
        else:
            # Byte-level tokenizers count the space before a word as part of it.
            while start < end and text[start].isspace():
                start += 1
            words.append(Word(token=token, start=start, end=end))
            previous = word_id
    return tuple(words)
