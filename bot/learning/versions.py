"""The trained versions as the understanding service has them: which one serves, and switching."""

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.errors import RequestError
from bot.settings import Settings
from nlu.bundle import BundleStore
from nlu.describing import describe
from nlu.errors import BadTrial, NluError
from nlu.trial import Trial

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
    trial: dict[str, Any] | None = None  # version and share of what is on trial, loaded

    @property
    def switching(self) -> bool:
        """Whether the service has still to load what it is told to."""
        return self.active is not None and self.active != self.current

    def find(self, version: str) -> dict[str, Any] | None:
        """One version's figures."""
        return next((one for one in self.models if one["version"] == version), None)

    def previous(self) -> str | None:
        """The version to go back to, as BundleStore.previous has it; None where there is none."""
        names = [one["version"] for one in self.models]
        if self.current not in names:
            return None
        current = self.find(self.current or "") or {}
        for before in (current.get("replaced"), current.get("parent")):
            if before in names:
                return str(before)
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
            trial=told.get("trial"),
        )

    def serving(self) -> str | None:
        """The version that the pointer names."""
        return self._store.current()

    def known(self) -> list[str]:
        """The versions on disk, oldest first."""
        return self._store.versions()

    def trial(self) -> Trial | None:
        """What is to be on trial; None where the file is none of ours, as for the service."""
        try:
            return self._store.trial()
        except BadTrial:
            return None

    async def promote(self, version: str) -> None:
        """Make a version the one that serves; a trial ends.

        With an admin token the service loads it before the pointer moves; without one the pointer
        moves, and the service follows within seconds. Raises RequestError.
        """
        if self._token is None:
            await asyncio.to_thread(self._point, version)
        else:
            await self._tell("POST", f"/v1/models/{version}/activate", {})

    async def roll_back(self) -> str:
        """Make the version before serve again; the version. Raises RequestError.

        The pointer moves and the service follows it, whatever it is at.
        """
        try:
            return await asyncio.to_thread(self._store.roll_back)
        except (NluError, OSError) as error:
            raise RequestError(409, "version", str(error), "promote one that is whole") from error

    async def try_out(self, trial: Trial) -> None:
        """Give a version its share of the conversations. Raises RequestError."""
        if self._token is None:
            await asyncio.to_thread(self._try_out, trial)
            return
        body = {"share": trial.share, "salt": trial.salt}
        await self._tell("POST", f"/v1/models/{trial.version}/trial", body)

    async def end_trial(self) -> None:
        """Give all conversations to the version that serves; the service follows within seconds.

        Where the models are another machine's, the service is told. Raises RequestError.
        """
        ended = await asyncio.to_thread(self._store.end_trial)
        if not ended and self._token is not None:
            await self._tell("DELETE", "/v1/models/trial", {})

    async def _tell(self, method: str, path: str, body: dict[str, Any]) -> None:
        assert self._token is not None
        try:
            async with self._session.request(
                method,
                self._url + path,
                json=body,
                headers={"Authorization": f"Bearer {self._token.get_secret_value()}"},
                timeout=aiohttp.ClientTimeout(total=SWITCH_S),
            ) as response:
                answer = await response.json()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RequestError(
                503,
                "version",
                f"the understanding service did not answer ({type(error).__name__})",
                "see /channels, then try again",
            ) from error
        if status != 200:
            problem = answer.get("error", {})
            raise RequestError(
                409 if status == 404 else status,
                problem.get("field", "version"),
                problem.get("message", f"it answered {status}"),
                "choose another",
            )

    def _try_out(self, trial: Trial) -> None:
        from nlu.bundle import open_bundle

        try:
            open_bundle(self._store.folder(trial.version))
            self._store.try_out(trial)
        except (NluError, OSError) as error:
            raise RequestError(
                409, "version", str(error), "choose another, or set KEFU_ADMIN_TOKEN"
            ) from error

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
