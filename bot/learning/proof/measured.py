"""What one bundle makes of texts, through the engine that serves on a CPU."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bot.learning.proof.evidence import Floats, Ints, Side
from nlu.examples import Example
from nlu.understanding import FALLBACK, Meaning

# Rankings of so many texts are in memory at a time.
_CHUNK = 512
_WARM = 5

Span = tuple[int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What a bundle makes of some texts; labels are places in its own lists, -1 without a head."""

    intents: Ints  # (texts,)
    probabilities: NDArray[np.float32]  # (texts, intents)
    emotions: Ints  # (texts,)
    emotion_confidence: Floats  # (texts,)
    spans: tuple[frozenset[Span], ...]

    @property
    def confidence(self) -> Floats:
        """Of the best intent, (texts,)."""
        if self.probabilities.shape[1] == 0:
            return np.zeros(len(self.probabilities))
        found: Floats = self.probabilities.max(axis=1).astype(np.float64)
        return found

    def at(self, rows: Sequence[int]) -> "Understood":
        """The same of some of the texts."""
        return Understood(
            intents=self.intents[rows],
            probabilities=self.probabilities[rows],
            emotions=self.emotions[rows],
            emotion_confidence=self.emotion_confidence[rows],
            spans=tuple(self.spans[row] for row in rows),
        )


class Reader(Protocol):
    """A bundle that can be asked."""

    @property
    def side(self) -> Side:
        """What it is, its latency not yet measured."""
        ...

    def read(self, examples: Sequence[Example]) -> list[Meaning]:
        """What it makes of texts, in batches."""
        ...

    def time_ms(self, text: str) -> float:
        """How long it takes over one text."""
        ...


class BundleReader:
    """A bundle with the graph that serves; raises BundleError when it is damaged."""

    def __init__(self, folder: Path, *, threads: int = 1, threshold: float | None = None) -> None:
        # Imported here: whoever only reads a verdict needs no runtime of models.
        from nlu.bundle import open_bundle
        from nlu.loading import onnx_engine
        from nlu.tokens import TextTokenizer

        self._bundle = open_bundle(folder)
        self._engine = onnx_engine(self._bundle, threads)
        manifest = self._bundle.manifest
        self._tokenizer = TextTokenizer(folder / "tokenizer.json", manifest.max_tokens)
        self.side = Side(
            version=manifest.version,
            mode=self._engine.mode,
            size_bytes=sum(int(file["bytes"]) for file in manifest.files.values()),
            labels=self._bundle.labels,
            threshold=self._bundle.calibration.fallback_threshold
            if threshold is None
            else threshold,
        )

    def read(self, examples: Sequence[Example]) -> list[Meaning]:
        """What it makes of texts, in batches."""
        from nlu.evaluation import meanings

        return meanings(self._bundle, self._engine, self._tokenizer, examples)

    def time_ms(self, text: str) -> float:
        """How long it takes over one text, from the characters to the meaning.

        In time of the processor: what waits on a busy machine is not the version's doing, and
        would make one of two that are alike look a third slower.
        """
        from nlu.evaluation import meanings

        example = [Example(text=text)]
        started = time.process_time()
        meanings(self._bundle, self._engine, self._tokenizer, example)
        return 1000 * (time.process_time() - started)


def understood(reader: Reader, examples: Sequence[Example]) -> Understood:
    """What a bundle makes of labelled texts; their labels are not looked at."""
    labels = reader.side.labels
    intent_at = {name: place for place, name in enumerate(labels.intent)}
    emotion_at = {name: place for place, name in enumerate(labels.emotion)}
    n = len(examples)
    intents = np.full(n, -1, dtype=np.int64)
    probabilities = np.zeros((n, len(intent_at)), dtype=np.float32)
    emotions = np.full(n, -1, dtype=np.int64)
    emotion_confidence = np.zeros(n)
    spans: list[frozenset[Span]] = []
    for row, meaning in enumerate(_meanings(reader, examples)):
        for name, confidence in meaning.intents:
            probabilities[row, intent_at[name]] = confidence
        if meaning.intents:
            intents[row] = intent_at[meaning.intents[0][0]]
        if meaning.emotions:
            name, emotion_confidence[row] = meaning.emotions[0]
            emotions[row] = emotion_at[name]
        found = (item.span for item in meaning.entities)
        spans.append(frozenset((span.start, span.end, span.tag) for span in found))
    return Understood(
        intents=intents,
        probabilities=probabilities,
        emotions=emotions,
        emotion_confidence=emotion_confidence,
        spans=tuple(spans),
    )


def served(meaning: Meaning, threshold: float) -> tuple[str | None, float]:
    """The intent that the bot would act on, and the confidence in the best guess."""
    if not meaning.intents:
        return None, 0.0
    name, confidence = meaning.intents[0]
    return (FALLBACK if confidence < threshold else name), confidence


def interleaved_ms(
    champion: Reader, challenger: Reader, texts: Sequence[str]
) -> tuple[list[float], list[float]]:
    """How long each takes over single texts, in turns, so that both see the same machine."""
    for text in texts[:_WARM]:
        champion.time_ms(text)
        challenger.time_ms(text)
    before, after = [], []
    for number, text in enumerate(texts):
        # Whoever comes second finds the text in the processor's cache.
        if number % 2:
            after.append(challenger.time_ms(text))
            before.append(champion.time_ms(text))
        else:
            before.append(champion.time_ms(text))
            after.append(challenger.time_ms(text))
    return before, after


def _meanings(reader: Reader, examples: Sequence[Example]) -> Iterator[Meaning]:
    for start in range(0, len(examples), _CHUNK):
        yield from reader.read(examples[start : start + _CHUNK])
