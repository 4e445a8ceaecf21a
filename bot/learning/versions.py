"""The trained versions as the understanding service has them: which one serves, and switching."""

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.errors import RequestError
from bot.settings import Settings
from nlu.bundle import BundleStore
from nlu.describing import describe
from nlu.errors import NluError

ASK_S = 5.0
SWITCH_S = 120.0  # a version is loaded and warmed before it serves


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All versions, newest first, and what the service says of itself."""

    models: list[dict[str, Any]]
    active: str | None  # the version that answers now; None while nobody says so
    mode: str | None  # gpu, cpu-int8, cpu or lexical
    current: str | None  # the version that is to answer
    problem: str | None = None

    @property
    def switching(self) -> bool:
        """Whether the service has still to load what it is told to."""
        return self.active is not None and self.active != self.current

    def find(self, version: str) -> dict[str, Any] | None:
        """One version's figures."""
        return next((one for one in self.models if one["version"] == version), None)

    def previous(self) -> str | None:
        """The version to go back to: the current one's parent, or the one before it in time."""
        names = [one["version"] for one in self.models]
        if self.current not in names:
            return None
        parent = (self.find(self.current or "") or {}).get("parent")
        if parent in names:
            return str(parent)
        earlier = names[names.index(self.current) + 1 :]
        return earlier[0] if earlier else None


class Versions:
    """Asks the service, or the models folder where the service does not answer."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._url = settings.nlu_url.rstrip("/")
        self._token = settings.admin_token
        self._store = BundleStore(settings.models_dir)

    async def catalogue(self) -> Catalogue:
        """What there is; `problem` says why the service did not tell."""
        try:
            told, ready = await asyncio.gather(self._get("/v1/models"), self._get("/readyz"))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            models = await asyncio.to_thread(self._on_disk)
            return Catalogue(
                models=models,
                active=None,
                mode=None,
                current=self._store.current(),
                problem=f"the understanding service does not answer ({type(error).__name__})",
            )
        models = sorted(told["models"], key=lambda one: str(one["version"]), reverse=True)
        return Catalogue(
            models=models,
            active=told["active"],
            mode=ready.get("mode"),
            current=next((one["version"] for one in models if one["current"]), told["active"]),
            problem=ready.get("reason"),
        )

    async def promote(self, version: str) -> None:
        """Make a version the one that serves.

        With an admin token the service loads it before the pointer moves; without one the pointer
        moves, and the service follows within seconds. Raises RequestError.
        """
        if self._token is None:
            await asyncio.to_thread(self._point, version)
            return
        try:
            async with self._session.post(
                f"{self._url}/v1/models/{version}/activate",
                headers={"Authorization": f"Bearer {self._token.get_secret_value()}"},
                timeout=aiohttp.ClientTimeout(total=SWITCH_S),
            ) as response:
                body = await response.json()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RequestError(
                503,
                "version",
                f"the understanding service did not answer ({type(error).__name__})",
                "see /channels, then try again",
            ) from error
        if status != 200:
            message = body.get("error", {}).get("message", f"it answered {status}")
            raise RequestError(
                409 if status == 404 else status, "version", message, "choose another"
            )

    def _point(self, version: str) -> None:
        from nlu.bundle import open_bundle

        try:
            open_bundle(self._store.folder(version))
            self._store.activate(version)
        except (NluError, OSError) as error:
            raise RequestError(
                409, "version", str(error), "choose another, or set KEFU_ADMIN_TOKEN"
            ) from error

    def _on_disk(self) -> list[dict[str, Any]]:
        found = []
        for version in reversed(self._store.versions()):
            try:
                found.append(describe(self._store, version))
            except NluError:
                continue
        return found

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._session.get(
            self._url + path, timeout=aiohttp.ClientTimeout(total=ASK_S)
        ) as response:
            body = await response.json()
        # Without a model it is not ready and says why; but it knows the versions.
        if not isinstance(body, dict) or (response.status != 200 and path != "/readyz"):
            raise ValueError(path)
        return body
