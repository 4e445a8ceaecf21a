"""The understanding service without its HTTP: parse, classify, embed, swap models."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlu.batcher import Answer, Batcher, Work
from nlu.bundle import BundleStore
from nlu.engine import Floats, Query
from nlu.errors import BadTrial, BundleError, EngineFailed, NluError, UnknownVersion
from nlu.explain import explain
from nlu.loading import LoadedModel
from nlu.measures import Measures
from nlu.recent import Recent
from nlu.trial import Trial
from nlu.understanding import Meaning, Parse, as_parse, payload_parse, understand

# Longer texts are tokenised in a thread: the event loop has others to serve.
_INLINE_CHARS = 1000
# A damaged version is looked at again after this time: checking it reads all of it.
_REFUSED_REST_S = 30.0
_LAST_MODE = "lexical"
_NO_TIME = {"queue": 0.0, "tokenize": 0.0, "model": 0.0}

Load = Callable[[str], LoadedModel]  # version -> model, slow
log = logging.getLogger(__name__)


class NoModel(NluError):
    """There is no model to answer with."""


@dataclass(slots=True, kw_only=True)
class Tried:
    """A trial and its model."""

    trial: Trial
    model: LoadedModel
    complained: bool = False


class Understanding:
    """Answers with the active model, and in a share of the conversations with one on trial.

    Everything here runs on one event loop. Two models are held at most: what is on trial goes
    before a third is loaded.
    """

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
        self._tried: Tried | None = None
        self._refused = ("", 0.0)  # version, when
        self._refused_trial = ("", 0.0)
        self.problem = "no model is loaded yet"
        self.threshold: float | None = None  # None: the bundle's own

    @property
    def model(self) -> LoadedModel:
        """The active model; raises NoModel with the reason when there is none."""
        if self._model is None:
            raise NoModel(self.problem)
        return self._model

    @property
    def trial(self) -> Trial | None:
        """What is on trial now, its model loaded."""
        return None if self._tried is None else self._tried.trial

    def named(self, version: str | None) -> LoadedModel:
        """The model of a version, active or on trial; without one the active.

        Raises UnknownVersion for any other, NoModel when there is none at all.
        """
        held = [self.model] if self._tried is None else [self.model, self._tried.model]
        for model in held:
            if version is None or model.version == version:
                return model
        raise UnknownVersion(version or "", [model.version for model in held])

    async def promote(self, version: str) -> LoadedModel:
        """Loads and warms a version beside the active one, moves the pointer to it, then swaps.

        A trial ends; when it was of this version, its model is the one that serves. Raises
        UnknownVersion or BundleError, and goes on with the active one.
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

    async def try_out(self, trial: Trial) -> LoadedModel:
        """Loads and warms a version beside the active one, then gives it its share.

        Raises UnknownVersion, BundleError, BadTrial or NoModel, and nothing is tried that was not.
        """
        async with self._swap:
            if trial.version == self.model.version:
                raise BadTrial("version", "is the one that serves; name another")
            model = await self._loaded(trial.version)
            await asyncio.to_thread(self._store.try_out, trial)
            return self._try(trial, model)

    async def end_trial(self) -> bool:
        """Gives all conversations to the active model; False when nothing was tried."""
        async with self._swap:
            ended = await asyncio.to_thread(self._store.end_trial)
            self._tried = None
            return ended

    async def follow_trial(self) -> None:
        """Tries what the file `trial` names; one that cannot be loaded is left, and logged."""
        async with self._swap:
            try:
                trial = self._store.trial()
            except BadTrial as error:
                self._refuse_trial("", error)
                trial = None
            if trial is None or self._model is None or trial.version == self._model.version:
                self._tried = None
                return
            if trial == self.trial:
                return
            refused, at = self._refused_trial
            if trial.version == refused and time.monotonic() - at < _REFUSED_REST_S:
                return
            try:
                self._try(trial, await self._loaded(trial.version))
            except (BundleError, UnknownVersion) as error:
                self._refuse_trial(trial.version, error)

    async def _loaded(self, version: str) -> LoadedModel:
        self._store.folder(version)
        for held in (self._model, None if self._tried is None else self._tried.model):
            if held is not None and held.version == version:
                return held
        # If this fails while its file is still there, the next look brings it back.
        self._tried = None
        return await asyncio.to_thread(self._load, version)

    def _use(self, model: LoadedModel) -> LoadedModel:
        # What is queued for the old model is still answered by it.
        self._model = model
        self._tried = None
        self._meanings.clear()
        self._measures.active(model.version, model.ladder.mode)
        return model

    def _try(self, trial: Trial, model: LoadedModel) -> LoadedModel:
        if self._tried is None or self._tried.model is not model:
            # A version of this name may have been another one, the last time it was loaded.
            self._meanings.clear()
        self._tried = Tried(trial=trial, model=model)
        log.info("trial_begun version=%s share=%g", trial.version, trial.share)
        return model

    def _refuse_trial(self, version: str, error: NluError) -> None:
        refused, at = self._refused_trial
        if version != refused or time.monotonic() - at >= _REFUSED_REST_S:
            log.error("trial_refused version=%s problem=%s", version, error)
            self._refused_trial = (version, time.monotonic())

    async def answer(
        self, text: str, *, literal: bool = False, conversation_id: str | None = None
    ) -> Parse:
        """Rasa's parse of a message, by the model that its conversation falls to.

        Where the one on trial cannot answer, or only by its last resort, the active one does.
        """
        active, tried = self.model, self._tried
        if (
            tried is None
            or conversation_id is None
            or not tried.trial.covers(conversation_id)
            or (tried.model.ladder.mode == _LAST_MODE and active.ladder.mode != _LAST_MODE)
        ):
            return (await self.parse([text], literal=literal))[0]
        try:
            return (await self.parse([text], literal=literal, model=tried.model))[0]
        except EngineFailed as error:
            if not tried.complained:
                tried.complained = True
                log.error("trial_failed version=%s problem=%s", tried.trial.version, error)
            return (await self.parse([text], literal=literal))[0]

    async def parse(
        self, texts: Sequence[str], *, literal: bool = False, model: LoadedModel | None = None
    ) -> list[Parse]:
        """Rasa's parse of each text, by the active model unless another is given.

        Payloads are read as such unless `literal`.
        """
        model = model or self.model
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

    async def explained(self, texts: Sequence[str], model: LoadedModel) -> list[dict[str, Any]]:
        """For each text how much each word speaks for its intent, as a model sees it."""

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
                if answer.result[1] != _LAST_MODE:
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
