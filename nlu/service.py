"""The understanding service without its HTTP: parse, classify, embed, swap models."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nlu.batcher import Answer, Batcher, Work
from nlu.bundle import BundleStore
from nlu.engine import Floats, Query
from nlu.errors import BundleError, NluError, UnknownVersion
from nlu.explain import explain
from nlu.loading import LoadedModel
from nlu.measures import Measures
from nlu.recent import Recent
from nlu.understanding import Meaning, Parse, as_parse, payload_parse, understand

# Longer texts are tokenised in a thread: the event loop has others to serve.
_INLINE_CHARS = 1000
# A damaged version is looked at again after this time: checking it reads all of it.
_REFUSED_REST_S = 30.0
_NO_TIME = {"queue": 0.0, "tokenize": 0.0, "model": 0.0}

Load = Callable[[str], LoadedModel]  # version -> model, slow
log = logging.getLogger(__name__)


class NoModel(NluError):
    """There is no model to answer with."""


class Understanding:
    """Answers with the active model; everything here runs on one event loop."""

    def __init__(
        self,
        *,
        store: BundleStore,
        load: Load,
        batcher: Batcher,
        measures: Measures,
        cache_size: int,
    ) -> None:
        self._store = store
        self._load = load
        self._batcher = batcher
        self._measures = measures
        self._meanings: Recent[tuple[Meaning, str]] = Recent(cache_size)
        self._vectors: Recent[list[float]] = Recent(cache_size)
        self._model: LoadedModel | None = None
        self._swap = asyncio.Lock()
        self._refused = ("", 0.0)  # version, when
        self.problem = "no model is loaded yet"
        self.threshold: float | None = None  # None: the bundle's own

    @property
    def model(self) -> LoadedModel:
        """The active model; raises NoModel with the reason when there is none."""
        if self._model is None:
            raise NoModel(self.problem)
        return self._model

    async def promote(self, version: str) -> LoadedModel:
        """Loads and warms a version beside the active one, moves the pointer to it, then swaps.

        Raises UnknownVersion or BundleError, and goes on with the active one.
        """
        async with self._swap:
            model = await self._loaded(version)
            await asyncio.to_thread(self._store.activate, version)
            return self._use(model)

    async def follow_pointer(self) -> None:
        """Activates what `current` names unless it is active; `problem` says why that fails."""
        async with self._swap:  # so that a promotion is not taken back half way
            version = self._store.current()
            if version is None:
                self.problem = "no model is trained yet; run `kefu train`"
                return
            if self._model is not None and self._model.version == version:
                return
            refused, at = self._refused
            if version == refused and time.monotonic() - at < _REFUSED_REST_S:
                return
            try:
                self._use(await self._loaded(version))
            except (BundleError, UnknownVersion) as error:
                if str(error) != self.problem:
                    log.error("model_refused version=%s problem=%s", version, error)
                self.problem = str(error)
                self._refused = (version, time.monotonic())

    async def _loaded(self, version: str) -> LoadedModel:
        self._store.folder(version)
        if self._model is not None and self._model.version == version:
            return self._model
        return await asyncio.to_thread(self._load, version)

    def _use(self, model: LoadedModel) -> LoadedModel:
        # What is queued for the old model is still answered by it.
        self._model = model
        self._meanings.clear()
        self._measures.active(model.version, model.ladder.mode)
        return model

    async def parse(self, texts: Sequence[str], *, literal: bool = False) -> list[Parse]:
        """Rasa's parse of each text; payloads are read as such unless `literal`."""
        model = self.model
        parses: list[Parse | None] = [None] * len(texts)
        plain: list[int] = []
        for index, text in enumerate(texts):
            payload = None if literal else payload_parse(text)
            if payload is None:
                plain.append(index)
                continue
            parses[index] = payload | {
                "model_version": model.version,
                "mode": model.ladder.mode,
                "timing_ms": dict(_NO_TIME),
            }
        for index, parse in zip(
            plain, await self._plain(model, [texts[i] for i in plain]), strict=True
        ):
            parses[index] = parse
        return [parse for parse in parses if parse is not None]

    def forget(self) -> int:
        """Drops all remembered texts with their parses and embeddings; returns how many."""
        count = len(self._meanings) + len(self._vectors)
        self._meanings.clear()
        self._vectors.clear()
        return count

    def threshold_of(self, model: LoadedModel) -> float:
        """The confidence below which an intent of the model is not taken."""
        set_for_all = self.threshold
        return model.bundle.calibration.fallback_threshold if set_for_all is None else set_for_all

    async def explained(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """For each text how much each word speaks for its intent."""
        model = self.model

        async def run(variants: Sequence[str]) -> list[Meaning]:
            queries = [model.query(text) for text in variants]
            answers = await self._batcher.submit(CLASSIFY, model, queries)
            return [answer.result[0] for answer in answers]

        return [await explain(text, run) for text in texts]

    async def embed(self, texts: Sequence[str]) -> tuple[LoadedModel, list[list[float]]]:
        """The embeddings of texts, and the model whose embedder made them."""
        model = self.model
        embedder = model.bundle.manifest.embedder_id
        vectors = {text: self._vectors.get((embedder, text)) for text in texts}
        missing = [text for text, vector in vectors.items() if vector is None]
        self._measures.cached("embed", len(texts) - len(missing))
        if missing:
            queries = await _tokenised(model.embed_query, missing)
            answers = await self._batcher.submit(EMBED, model, queries)
            for text, answer in zip(missing, answers, strict=True):
                vectors[text] = answer.result
                self._vectors.put((embedder, text), answer.result)
        return model, [vector for text in texts if (vector := vectors[text]) is not None]

    async def _plain(self, model: LoadedModel, texts: Sequence[str]) -> list[Parse]:
        kept = {text: self._meanings.get((model.version, text)) for text in texts}
        missing = [text for text, known in kept.items() if known is None]
        self._measures.cached("parse", len(texts) - len(missing))
        timings: dict[str, dict[str, float]] = {}
        if missing:
            started = time.perf_counter()
            queries = await _tokenised(model.query, missing)
            tokenize_ms = (time.perf_counter() - started) * 1000 / len(missing)
            answers = await self._batcher.submit(CLASSIFY, model, queries)
            for text, answer in zip(missing, answers, strict=True):
                kept[text] = answer.result
                timings[text] = _timing(answer, tokenize_ms)
                if answer.result[1] != "lexical":
                    self._meanings.put((model.version, text), answer.result)
        threshold = self.threshold_of(model)
        parses = []
        for text in texts:
            known = kept[text]
            if known is None:  # every text has been answered above
                continue
            meaning, mode = known
            parse = as_parse(text, meaning, threshold=threshold)
            parse["model_version"] = model.version
            parse["mode"] = mode
            parse["timing_ms"] = timings.get(text) or dict(_NO_TIME)
            self._measures.parsed(parse["intent"]["name"], mode)
            parses.append(parse)
        return parses


def _classify(model: LoadedModel, batch: Sequence[Query]) -> list[tuple[Meaning, str]]:
    found, engine = model.ladder.run(lambda engine: understand(model.bundle, engine, batch))
    return [(meaning, engine.mode) for meaning in found]


def _embed(model: LoadedModel, batch: Sequence[Query]) -> list[list[float]]:
    vectors, _ = model.ladder.embed(batch)
    rounded: Floats = np.round(vectors, 6)
    as_lists: list[list[float]] = rounded.astype(np.float64).round(6).tolist()
    return as_lists


CLASSIFY = Work(name="classify", run=_classify)
EMBED = Work(name="embed", run=_embed)


async def _tokenised(prepare: Callable[[str], Query], texts: Sequence[str]) -> list[Query]:
    if sum(map(len, texts)) <= _INLINE_CHARS:
        return [prepare(text) for text in texts]
    return await asyncio.to_thread(lambda: [prepare(text) for text in texts])


def _timing(answer: Answer, tokenize_ms: float) -> dict[str, float]:
    return {
        "queue": round(answer.queue_ms, 3),
        "tokenize": round(tokenize_ms, 3),
        "model": round(answer.model_ms, 3),
    }
