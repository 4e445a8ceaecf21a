"""The understanding service as reviewing needs it: vectors of texts, names of labels."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from actions.errors import UnderstandingError
from actions.understanding import UnderstandingClient
from bot.log import review_items
from bot.log.journal import Journal
from bot.log.review_ranking import CannotEmbed

log = logging.getLogger(__name__)

KEPT_S = 60.0
# What the model that comes with kefu tells apart; for when it cannot be asked.
EMOTIONS = ("angry", "anxious", "confused", "disappointed", "happy", "neutral")
_TIMEOUT = aiohttp.ClientTimeout(total=5)


class ServiceEmbedding:
    """Embeds by asking the service."""

    def __init__(self, client: UnderstandingClient) -> None:
        self._client = client

    async def embed(self, texts: Sequence[str]) -> tuple[Any, str]:
        """(texts, dim) and the embedder's id. Raises CannotEmbed."""
        try:
            made = await self._client.embed(texts)
        except UnderstandingError as error:
            log.debug("nothing embedded", extra={"reason": str(error)})
            raise CannotEmbed from error
        return made.vectors, made.embedder

    async def close(self) -> None:
        """Let go of the service."""
        await self._client.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelNames:
    """What there is to choose from."""

    intents: tuple[str, ...]
    emotions: tuple[str, ...]
    entities: tuple[str, ...]


class Labels:
    """The names of the active model's labels; what was seen in the log where it is away."""

    def __init__(self, journal: Journal, session: aiohttp.ClientSession, url: str) -> None:
        self._journal = journal
        self._session = session
        self._url = url.rstrip("/") + "/v1/models"
        self._kept: tuple[float, LabelNames] | None = None

    async def names(self) -> LabelNames:
        """The names, at most a minute old."""
        if self._kept is None or time.monotonic() - self._kept[0] > KEPT_S:
            self._kept = (time.monotonic(), await self._read())
        return self._kept[1]

    async def _read(self) -> LabelNames:
        of_model = await self._of_model()
        marked = await self._journal.browse(review_items.entity_names)
        intents = of_model.get("intent") or await self._journal.browse(review_items.seen_intents)
        return LabelNames(
            intents=tuple(sorted(intents or ())),
            emotions=tuple(of_model.get("emotion") or EMOTIONS),
            entities=tuple(sorted({*of_model.get("entity", ()), *marked})),
        )

    async def _of_model(self) -> dict[str, list[str]]:
        try:
            async with self._session.get(self._url, timeout=_TIMEOUT) as response:
                answer = await response.json()
            models = {model["version"]: model for model in answer["models"]}
            return dict(models[answer["active"]]["labels"])
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.debug("labels not read", extra={"reason": type(error).__name__})
            return {}
