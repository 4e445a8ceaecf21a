"""Scores a bundle on labelled texts, through the engine that serves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlu.bundle import Bundle
from nlu.calibration import Floats, expected_calibration_error
from nlu.engine import Engine, Query
from nlu.examples import EntitySpan, Example
from nlu.metrics import accuracy, confusions, entity_scores, macro_f1
from nlu.tokens import TextTokenizer, token_batches
from nlu.understanding import Meaning, understand

_BATCH_TOKENS = 1024
_BATCH_ROWS = 32
Scores = dict[str, Any]


def meanings(
    bundle: Bundle, engine: Engine, tokenizer: TextTokenizer, examples: Sequence[Example]
) -> list[Meaning]:
    """What the engine makes of each example."""
    queries = [Query(text=e.text, encoded=tokenizer.encode(e.text)) for e in examples]
    found: dict[int, Meaning] = {}
    for chunk in chunks(queries):
        results = understand(bundle, engine, [queries[index] for index in chunk])
        found |= zip(chunk, results, strict=True)
    return [found[index] for index in range(len(queries))]


def chunks(queries: Sequence[Query]) -> list[list[int]]:
    """Indexes of queries in batches of about the same length."""
    lengths = [len(query.encoded.ids) for query in queries]
    return token_batches(lengths, max_tokens=_BATCH_TOKENS, max_rows=_BATCH_ROWS)


def score(bundle: Bundle, examples: Sequence[Example], found: Sequence[Meaning]) -> Scores:
    """Scores of each head that the bundle has and the examples have labels for.

    Intents are scored by the best guess, whatever the fallback threshold says;
    `fallback_rate` tells how many the threshold would turn away.
    """
    pairs = list(zip(examples, found, strict=True))
    scores: Scores = {}
    intents = [(e.intent, m.intents) for e, m in pairs if e.intent is not None and m.intents]
    if intents:
        scores["intent"] = _classes(bundle.labels.intent, intents)
        unsure = sum(
            guesses[0][1] < bundle.calibration.fallback_threshold for _, guesses in intents
        )
        scores["intent"]["fallback_rate"] = round(unsure / len(intents), 4)
    emotions = [(e.emotion, m.emotions) for e, m in pairs if e.emotion is not None and m.emotions]
    if emotions:
        scores["emotion"] = _classes(bundle.labels.emotion, emotions)
    annotated = [(e.spans, m.entities) for e, m in pairs if e.spans is not None]
    if bundle.labels.tags and any(spans for spans, _ in annotated):
        guesses: list[list[EntitySpan]] = [[item.span for item in items] for _, items in annotated]
        scores["entities"] = entity_scores([spans for spans, _ in annotated], guesses)
    return scores


def _classes(names: Sequence[str], pairs: Sequence[tuple[str, list[tuple[str, float]]]]) -> Scores:
    truth = [label for label, _ in pairs]
    guesses = [ranking[0][0] for _, ranking in pairs]
    numbers = {name: number for number, name in enumerate(names)}
    probabilities: Floats = np.zeros((len(pairs), len(names)), dtype=np.float32)
    for row, (_, ranking) in enumerate(pairs):
        for name, confidence in ranking:
            probabilities[row, numbers[name]] = confidence
    # A label that the model has never seen is a miss: number -1 equals no guess.
    labels = np.array([numbers.get(label, -1) for label in truth], dtype=np.int64)
    return {
        "accuracy": round(accuracy(truth, guesses), 4),
        "macro_f1": round(macro_f1(truth, guesses), 4),
        "n": len(pairs),
        "ece": round(expected_calibration_error(probabilities, labels), 4),
        "confusions": confusions(truth, guesses),
    }
