"""The understanding service as tests want it: bags of words as vectors, versions in a list."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from aiohttp import web

DIM = 64


def vector_of(text: str) -> list[float]:
    """Texts with common words are alike."""
    vector = np.full(DIM, 1e-3)
    for word in re.findall(r"\w+", text.lower()):
        vector[hashlib.sha256(word.encode()).digest()[0] % DIM] += 1
    unit: list[float] = (vector / np.linalg.norm(vector)).tolist()
    return unit


class UnderstandingService:
    """Answers over HTTP; `down` makes it answer 503, `lag` keeps an old version active."""

    def __init__(self, versions: Sequence[str] = ("20260101-000000-aaaaaa",)) -> None:
        self.embedder = "words-1"
        self.down = False
        self.versions = list(versions)
        self.active = self.versions[-1] if self.versions else None
        self.activated: list[str] = []
        self.admin_token = "the admin token of the tests"
        self.embedded: list[str] = []

    def app(self) -> web.Application:
        """To be put into a TestServer."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_post("/v1/embed", self.embed)
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/models/{version}/activate", self.activate)
        app.router.add_get("/readyz", self.ready)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler) -> web.StreamResponse:  # type: ignore[no-untyped-def]
        if self.down:
            return web.json_response({"error": {"field": "model", "message": "down"}}, status=503)
        response: web.StreamResponse = await handler(request)
        return response

    async def embed(self, request: web.Request) -> web.Response:
        texts = (await request.json())["texts"]
        self.embedded += texts
        return web.json_response(
            {
                "model_version": self.embedder,
                "dim": DIM,
                "embeddings": [vector_of(text) for text in texts],
            }
        )

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"active": self.active, "models": [self.describe(one) for one in self.versions]}
        )

    def describe(self, version: str) -> dict[str, object]:
        place = self.versions.index(version)
        return {
            "version": version,
            "current": version == self.active,
            "created_at": f"2026-01-0{place + 1}T00:00:00+00:00",
            "base_model": "minilm",
            "embedder_id": self.embedder,
            "mode": "cpu-int8",
            "parent": self.versions[place - 1] if place else None,
            "dataset_sha256": "d" * 64,
            "validation": {
                "intent": {"accuracy": 0.91 + place / 100, "macro_f1": 0.9, "ece": 0.02, "n": 120},
                "emotion": {"accuracy": 0.8, "macro_f1": 0.78, "ece": 0.04, "n": 90},
                "entities": {"f1": 0.95, "precision": 0.96, "recall": 0.94, "n": 40},
            },
        }

    async def activate(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.admin_token}":
            return web.json_response(
                {"error": {"field": "authorization", "message": "no"}}, status=401
            )
        version = request.match_info["version"]
        if version not in self.versions:
            return web.json_response(
                {"error": {"field": "version", "message": "unknown"}}, status=404
            )
        self.active = version
        self.activated.append(version)
        return web.json_response({"active": version, "mode": "cpu-int8"})

    async def ready(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"status": "ready", "model_version": self.active, "mode": "cpu-int8"}
        )
