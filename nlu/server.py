"""The understanding service over HTTP: Rasa's /model/parse and the /v1 routes."""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import SecretStr

from nlu.batcher import Batcher
from nlu.bodies import read_flag, read_name, read_object, read_text, read_texts
from nlu.bundle import BundleStore
from nlu.describing import describe
from nlu.device import choose_device
from nlu.errors import (
    BadRequest,
    BadTrial,
    BundleError,
    EngineFailed,
    NluError,
    Overloaded,
    UnknownVersion,
)
from nlu.loading import LoadedModel, load
from nlu.measures import Measures
from nlu.service import Load, NoModel, Understanding
from nlu.settings import NluSettings
from nlu.trial import Trial, checked_trial

_BODY_BYTES = 8 * 1024 * 1024
_POINTER_S = 0.5  # how often the pointers of the models folder are looked at: two tiny files

SERVICE: web.AppKey[Understanding] = web.AppKey("service", Understanding)

log = logging.getLogger(__name__)


class Routes:
    """The handlers and what they share."""

    def __init__(
        self,
        *,
        service: Understanding,
        store: BundleStore,
        batcher: Batcher,
        measures: Measures,
        settings: NluSettings,
    ) -> None:
        self.service = service
        self._store = store
        self._batcher = batcher
        self._measures = measures
        self._max_chars = settings.nlu_max_chars
        self._admin_token = settings.admin_token

    def table(self) -> list[web.RouteDef]:
        """Every route of the service."""
        return [
            web.post("/model/parse", self.parse),
            web.post("/v1/classify", self.classify),
            web.post("/v1/embed", self.embed),
            web.get("/v1/models", self.models),
            web.post("/v1/forget", self.forget),
            web.post("/v1/models/{version}/activate", self.activate),
            web.post("/v1/models/{version}/trial", self.try_out),
            web.delete("/v1/models/trial", self.end_trial),
            web.get("/healthz", self.health),
            web.get("/readyz", self.ready),
            web.get("/metrics", self.metrics),
        ]

    async def parse(self, request: web.Request) -> web.Response:
        """Rasa's protocol: one text, one parse; a named conversation may fall to the trial."""
        body = read_object(await request.read())
        parse = await self.service.answer(
            read_text(body, self._max_chars),
            literal=read_flag(body, "literal"),
            conversation_id=read_name(body, "conversation_id"),
        )
        return web.json_response(parse)

    async def classify(self, request: web.Request) -> web.Response:
        """Many texts at once, on request with the words that spoke for the intent."""
        body = read_object(await request.read())
        texts = read_texts(body, self._max_chars)
        wanted = read_flag(body, "explain")
        try:
            model = self.service.named(read_name(body, "model_version"))
        except UnknownVersion as error:
            return _problem(404, "model_version", f"{error}; only what is loaded can be asked")
        results = await self.service.parse(texts, literal=True, model=model)
        if wanted:
            explained = await self.service.explained(texts, model)
            for result, reasons in zip(results, explained, strict=True):
                result["explanation"] = reasons
        return web.json_response(
            {
                "model_version": model.version,
                "fallback_threshold": self.service.threshold_of(model),
                "results": results,
            }
        )

    async def embed(self, request: web.Request) -> web.Response:
        """Sentence embeddings by the active bundle's embedder, which the answers are found with."""
        texts = read_texts(read_object(await request.read()), self._max_chars)
        model, vectors = await self.service.embed(texts)
        manifest = model.bundle.manifest
        return web.json_response(
            {
                "model_version": manifest.embedder_id,
                "dim": manifest.embedding_dim,
                "embeddings": vectors,
            }
        )

    async def forget(self, request: web.Request) -> web.Response:
        """Drops the texts that are remembered: a customer among them was erased."""
        return web.json_response({"forgotten": self.service.forget()})

    async def models(self, request: web.Request) -> web.Response:
        """All versions on disk, and which one answers."""
        entries = await asyncio.to_thread(_described, self._store)
        try:
            active = self.service.model.version
        except NoModel:
            active = None
        return web.json_response(
            {"active": active, "trial": _shown(self.service.trial), "models": entries}
        )

    async def activate(self, request: web.Request) -> web.Response:
        """Loads and warms a version, swaps to it, then moves the pointer."""
        _check_admin(request, self._admin_token)
        version = request.match_info["version"]
        try:
            model = await self.service.promote(version)
        except UnknownVersion as error:
            return _problem(404, "version", str(error))
        except BundleError as error:
            return _problem(409, "version", str(error))
        return web.json_response({"active": version, "mode": model.ladder.mode})

    async def try_out(self, request: web.Request) -> web.Response:
        """Loads and warms a version, then gives it its share of the conversations."""
        _check_admin(request, self._admin_token)
        body = read_object(await request.read())
        version = request.match_info["version"]
        try:
            trial = checked_trial(version, body.get("share"), body.get("salt"))
            model = await self.service.try_out(trial)
        except UnknownVersion as error:
            return _problem(404, "version", str(error))
        except BadTrial as error:
            return _problem(409 if error.field == "version" else 400, error.field, error.problem)
        except BundleError as error:
            return _problem(409, "version", str(error))
        return web.json_response({"trial": _shown(trial), "mode": model.ladder.mode})

    async def end_trial(self, request: web.Request) -> web.Response:
        """Gives all conversations to the active version."""
        _check_admin(request, self._admin_token)
        return web.json_response({"ended": await self.service.end_trial()})

    async def health(self, request: web.Request) -> web.Response:
        """The process is up."""
        return web.json_response({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        """A model is loaded and answers."""
        try:
            model = self.service.model
        except NoModel as error:
            return web.json_response({"status": "not ready", "reason": str(error)}, status=503)
        return web.json_response(
            {
                "status": "ready",
                "model_version": model.version,
                "mode": model.ladder.mode,
                "trial": _shown(self.service.trial),
            }
        )

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus' page."""
        page = self._measures.page(self._batcher.waiting_tokens)
        return web.Response(body=page, headers={"Content-Type": "text/plain; version=0.0.4"})

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turns errors into JSON answers and counts requests."""
        started = time.perf_counter()
        try:
            response: web.StreamResponse = await handler(request)
        except BadRequest as error:
            response = _problem(error.status, error.field, error.problem)
        except Overloaded as error:
            response = _problem(429, "load", str(error))
            response.headers["Retry-After"] = str(error.retry_after_s)
        except (NoModel, EngineFailed) as error:
            response = _problem(503, "model", str(error))
        except web.HTTPRequestEntityTooLarge:
            response = _problem(413, "body", f"larger than {_BODY_BYTES} bytes; send fewer texts")
        except web.HTTPException as error:
            response = _problem(error.status, "path", error.reason)
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        self._measures.request(route, response.status, time.perf_counter() - started)
        return response


def build_app(settings: NluSettings, *, load_version: Load | None = None) -> web.Application:
    """The service with everything wired; `load_version` replaces the loader in tests."""
    store = BundleStore(settings.models_dir)
    measures = Measures()
    batcher = Batcher(
        batch_tokens=settings.nlu_batch_tokens,
        queue_tokens=settings.nlu_queue_tokens,
        on_batch=measures.batch,
    )

    def from_disk(version: str) -> LoadedModel:
        device = choose_device(settings.device)
        return load(store.folder(version), device=device, threads=settings.nlu_threads)

    service = Understanding(
        store=store,
        load=load_version or from_disk,
        batcher=batcher,
        measures=measures,
        cache_size=settings.nlu_cache_size,
    )
    service.threshold = settings.fallback_threshold
    routes = Routes(
        service=service, store=store, batcher=batcher, measures=measures, settings=settings
    )
    app = web.Application(middlewares=[routes.guard], client_max_size=_BODY_BYTES)
    app[SERVICE] = service
    app.add_routes(routes.table())

    async def running(app: web.Application) -> AsyncIterator[None]:
        batcher.start()
        follower = asyncio.create_task(_follow(service))
        yield
        follower.cancel()
        with suppress(asyncio.CancelledError):
            await follower
        await asyncio.to_thread(batcher.stop)

    app.cleanup_ctx.append(running)
    return app


async def _follow(service: Understanding) -> None:
    while True:
        try:
            await service.follow_pointer()
            await service.follow_trial()
        except Exception:
            # A models folder that cannot be read now may be readable later, and whatever a model
            # that cannot be loaded raises, the next pointer must be followed.
            log.exception("pointer_unreadable")
        await asyncio.sleep(_POINTER_S)


def _shown(trial: Trial | None) -> dict[str, Any] | None:
    return None if trial is None else {"version": trial.version, "share": trial.share}


def _described(store: BundleStore) -> list[dict[str, Any]]:
    entries = []
    for version in store.versions():
        with suppress(NluError):  # one damaged version does not hide the others
            entries.append(describe(store, version))
    return entries


def _check_admin(request: web.Request, token: SecretStr | None) -> None:
    if token is None:
        raise BadRequest("authorization", "no admin token is set: KEFU_ADMIN_TOKEN", status=403)
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    expected = b"Bearer " + token.get_secret_value().encode()
    if not hmac.compare_digest(given, expected):
        raise BadRequest("authorization", "send the admin token as a bearer", status=401)


def _problem(status: int, field: str, message: str) -> web.Response:
    return web.json_response({"error": {"field": field, "message": message}}, status=status)
