"""From engine outputs to what Rasa calls a parse: intent, ranking, entities, emotion."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nlu.bundle import Bundle
from nlu.decoding import best_tags
from nlu.engine import Engine, Floats, Query
from nlu.matchers import Recognised
from nlu.spans import from_tags

FALLBACK = "nlu_fallback"
_RANKED = 10
_PAYLOAD = re.compile(r"/(?P<intent>[^\s{}/|@]+)(?P<entities>\{.*\})?\s*", re.DOTALL)

Parse = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What one text means, before any rule of the service."""

    intents: list[tuple[str, float]]  # most likely first; empty without an intent head
    emotions: list[tuple[str, float]]
    entities: list[Recognised]


def understand(bundle: Bundle, engine: Engine, batch: Sequence[Query]) -> list[Meaning]:
    """The meanings of a batch of texts."""
    outputs = engine.classify(batch)
    probabilities = {
        head: bundle.calibration.probabilities(engine.calibration_prefix + head, logits)
        for head, logits in outputs.items()
    }
    return [
        Meaning(
            intents=_ranking(bundle.labels.intent, probabilities.get("intent"), row),
            emotions=_ranking(bundle.labels.emotion, probabilities.get("emotion"), row),
            entities=bundle.matchers.settle(
                query.text, _model_entities(bundle, query, probabilities.get("tags"), row)
            ),
        )
        for row, query in enumerate(batch)
    ]


def as_parse(text: str, meaning: Meaning, *, threshold: float) -> Parse:
    """A meaning as Rasa's parse result, with nlu_fallback first where the bot is not sure."""
    ranking = [_named(name, confidence) for name, confidence in meaning.intents[:_RANKED]]
    if ranking and ranking[0]["confidence"] < threshold:
        # As Rasa's FallbackClassifier does, the threshold is the confidence of the fallback.
        ranking = [_named(FALLBACK, threshold), *ranking]
    entities = [_entity(item) for item in meaning.entities]
    parse: Parse = {
        "text": text,
        "intent": ranking[0] if ranking else {"name": None, "confidence": 0.0},
        "intent_ranking": ranking,
        "entities": entities,
    }
    if meaning.emotions:
        name, confidence = meaning.emotions[0]
        ranked = [_named(*pair) for pair in meaning.emotions]
        parse["emotion"] = {"name": name, "confidence": round(confidence, 4), "ranking": ranked}
        entities.append(
            {
                "entity": "emotion",
                "start": 0,
                "end": len(text),
                "value": name,
                "confidence_entity": round(confidence, 4),
                "extractor": "kefu-emotion",
            }
        )
    else:
        parse["emotion"] = {"name": None, "confidence": 0.0, "ranking": []}
    return parse


def payload_parse(text: str) -> Parse | None:
    """The parse of a payload such as `/choose_answer{"qa_id": "17"}`; None for plain text.

    A slash before anything that is not well-formed is plain text too.
    """
    found = _PAYLOAD.fullmatch(text.strip()) if text.lstrip().startswith("/") else None
    if found is None:
        return None
    try:
        values = json.loads(found["entities"] or "{}")
    except json.JSONDecodeError:
        return None
    intent = _named(found["intent"], 1.0)
    entities = [
        {
            "entity": name,
            "start": 0,
            "end": len(text),
            "value": value,
            "confidence_entity": 1.0,
            "extractor": "kefu-payload",
        }
        for name, given in values.items()
        for value in (given if isinstance(given, list) else [given])
    ]
    return {
        "text": text,
        "intent": intent,
        "intent_ranking": [intent],
        "entities": entities,
        "emotion": {"name": None, "confidence": 0.0, "ranking": []},
    }


def _model_entities(
    bundle: Bundle, query: Query, tags: Floats | None, row: int
) -> list[Recognised]:
    words = query.encoded.words
    if tags is None or not words:
        return []
    of_words = tags[row, [word.token for word in words]]  # (words, labels)
    path = best_tags(of_words, bundle.transitions)
    names = [bundle.labels.tags[number] for number in path]
    confidences = of_words[range(len(path)), path].tolist()
    return from_tags(words, names, confidences)


def _ranking(
    names: tuple[str, ...], probabilities: Floats | None, row: int
) -> list[tuple[str, float]]:
    if probabilities is None:
        return []
    scores = probabilities[row]
    return [(names[index], float(scores[index])) for index in (-scores).argsort(kind="stable")]


def _named(name: str, confidence: float) -> dict[str, Any]:
    return {"name": name, "confidence": round(confidence, 4)}


def _entity(item: Recognised) -> dict[str, Any]:
    span = item.span
    entity: dict[str, Any] = {
        "entity": span.entity,
        "start": span.start,
        "end": span.end,
        "value": span.value,
        "confidence_entity": round(item.confidence, 4),
        "extractor": "kefu",
    }
    if span.role:
        entity["role"] = span.role
    if span.group:
        entity["group"] = span.group
    return entity
