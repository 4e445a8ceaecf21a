"""Sentence embeddings: the port, and the understanding service behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import numpy as np
from numpy.typing import NDArray

from actions.errors import UnderstandingError

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors of length one, and the id of the model that made them."""

    vectors: FloatArray  # (texts, dim)
    embedder: str


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their likeness."""

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector a text, in order. Raises UnderstandingError when it cannot."""
        ...


class UnderstandingClient:
    """Asks the understanding service, over one session that stays open."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """The embeddings of the texts in one request."""
        body = await self._request("POST", "/v1/embed", {"texts": list(texts)})
        try:
            vectors = np.asarray(body["embeddings"], dtype=np.float32)
            embedder = str(body["model_version"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnderstandingError(self.url, f"/v1/embed answered {error!r}") from None
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise UnderstandingError(self.url, f"/v1/embed gave {vectors.shape} for {len(texts)}")
        return Embeddings(vectors=vectors, embedder=embedder)

    async def check(self) -> None:
        """Returns when the service says that it is ready, else raises UnderstandingError."""
        await self._request("GET", "/readyz", None)

    async def close(self) -> None:
        """Closes the session."""
        if self._session is not None:
            await self._session.close()

    async def _request(self, method: str, path: str, body: object) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.request(method, self.url + path, json=body) as response:
                if response.status != 200:
                    raise UnderstandingError(self.url, f"{path} answered {response.status}")
                return await response.json()
        except (aiohttp.ClientError, ValueError) as error:
            problem = f"{path} failed ({type(error).__name__})"
            raise UnderstandingError(self.url, problem) from None
        except TimeoutError:
            problem = f"{path} took longer than {self._timeout.total} s"
            raise UnderstandingError(self.url, problem) from None


async def embed_in_batches(
    embedder: Embedder, texts: Sequence[str], *, batch_size: int = 64
) -> Embeddings:
    """The embeddings of any number of texts, a batch a request.

    Raises UnderstandingError when the model is exchanged between two batches.
    """
    parts: list[FloatArray] = []
    embedders: set[str] = set()
    for start in range(0, len(texts), batch_size):
        part = await embedder.embed(texts[start : start + batch_size])
        parts.append(part.vectors)
        embedders.add(part.embedder)
    if len(embedders) > 1:
        raise UnderstandingError("/v1/embed", "the model was exchanged meanwhile, try again")
    if not parts:
        return Embeddings(vectors=np.zeros((0, 0), dtype=np.float32), embedder="")
    return Embeddings(vectors=np.concatenate(parts), embedder=embedders.pop())
