"""Fits the calibration of a bundle on its held-out texts."""

from collections.abc import Sequence

import numpy as np

from nlu.bundle import Bundle
from nlu.calibration import Calibration, Floats, choose_fallback, fit_temperature
from nlu.engine import Engine, Query
from nlu.evaluation import chunks
from nlu.examples import Example
from nlu.lexical import LexicalEngine
from nlu.tokens import TextTokenizer


def calibrate(
    bundle: Bundle, engine: Engine, tokenizer: TextTokenizer, sample: Sequence[Example]
) -> Calibration:
    """Temperatures of intent and emotion, of the model and of its lexical fallback.

    Also the fallback threshold that the model's intent confidences suggest.
    """
    temperatures: dict[str, float] = {}
    threshold = Calibration().fallback_threshold
    for head in ("intent", "emotion"):
        names = bundle.labels.of(head)
        known = [example for example in sample if getattr(example, head) in names]
        if not known:
            continue
        queries = [Query(text=e.text, encoded=tokenizer.encode(e.text)) for e in known]
        truth = np.array([names.index(getattr(e, head)) for e in known], dtype=np.int64)
        for each in (engine, LexicalEngine(bundle.folder)):
            logits = _logits(each, head, queries)  # (texts, labels)
            key = each.calibration_prefix + head
            temperatures[key] = round(fit_temperature(logits, truth), 4)
            if key == "intent":
                fitted = Calibration(temperatures=temperatures)
                threshold = choose_fallback(fitted.probabilities(key, logits), truth)
    return Calibration(temperatures=temperatures, fallback_threshold=threshold)


def _logits(engine: Engine, head: str, queries: Sequence[Query]) -> Floats:
    found: dict[int, Floats] = {}
    for chunk in chunks(queries):
        logits = engine.classify([queries[index] for index in chunk])[head]
        found |= zip(chunk, logits, strict=True)
    return np.stack([found[index] for index in range(len(queries))])
