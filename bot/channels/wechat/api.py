"""The APIs of WeChat and WeCom: JSON with an `errcode`, and an access token in the address."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

from bot.channels import media
from bot.channels.access_token import AccessToken
from bot.channels.channel import SendLater, SendRefused, Upload
from bot.world import World

logger = logging.getLogger(__name__)

T = TypeVar("T")
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=5)
_LIMIT_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """What a platform's error codes mean for who sends."""

    # The access token is not good any more.
    token: frozenset[int]
    # Busy, or too fast.
    passing: frozenset[int]
    # So many messages, and no more until the customer writes again.
    quota: frozenset[int]
    # Secret, address list, permissions: who runs the gateway can mend them.
    mendable: frozenset[int]
    # Never, and why.
    never: Mapping[int, str] = field(default_factory=dict)


class QuotaUsed(SendLater):
    """The platform takes no more messages until the customer writes again."""


class TokenRefused(SendLater):
    """The platform did not take the access token."""


class WechatApi:
    """One account's API; `token_request` asks for an access token: method, path, query, JSON."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        api_url: str,
        codes: Codes,
        token_request: tuple[str, str, dict[str, str], dict[str, Any] | None],
        world: World,
    ) -> None:
        self._session = session
        self._api_url = api_url.rstrip("/")
        self._codes = codes
        self._token_request = token_request
        self._token = AccessToken(self._fetch_token, world)

    async def post(self, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send JSON; raises SendLater (of these, QuotaUsed) and SendRefused."""
        # The platforms show "\\u4f60" to customers as it stands: no escapes.
        data = json.dumps(payload, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json; charset=utf-8"}

        async def call(token: str) -> dict[str, Any]:
            return await self._ask("POST", path, {"access_token": token}, data, headers)

        return await self._authorized(call)

    async def upload(self, kind: str, upload: Upload) -> str:
        """Give the platform a file for three days; returns its media id."""

        async def call(token: str) -> dict[str, Any]:
            form = aiohttp.FormData(quote_fields=False)
            form.add_field(
                "media", upload.data, filename=upload.name, content_type=upload.content_type
            )
            query = {"access_token": token, "type": kind}
            return await self._ask("POST", "cgi-bin/media/upload", query, form, {})

        answer = await self._authorized(call)
        media_id = answer.get("media_id")
        if not isinstance(media_id, str):
            raise SendLater("the upload was answered without a media_id")
        return media_id

    async def download(self, media_id: str, *, max_bytes: int) -> Upload:
        """A file that a customer sent; raises SendLater and SendRefused."""

        async def call(token: str) -> Upload:
            query = {"access_token": token, "media_id": media_id}
            async with self._request("GET", "cgi-bin/media/get", query, None, {}) as response:
                upload = await media.read_upload(response, max_bytes=max_bytes)
            if upload.content_type in ("application/json", "text/plain"):
                self._refuse_json(upload.data)
            return upload

        return await self._authorized(call)

    async def _authorized(self, call: Callable[[str], Awaitable[T]]) -> T:
        """Call with the token, and once more with another when it was refused."""
        token = await self._token.get()
        try:
            return await self._quietly(call(token))
        except TokenRefused:
            token = await self._token.replace(token)
        return await self._quietly(call(token))

    async def _fetch_token(self) -> tuple[str, float]:
        method, path, query, payload = self._token_request
        data = None if payload is None else json.dumps(payload).encode()
        try:
            answer = await self._quietly(self._ask(method, path, query, data, {}))
        except SendRefused as error:
            # A wrong id or secret keeps messages waiting: it can be mended.
            logger.error("no access token", extra={"reason": error.reason})
            raise SendLater(f"no access token: {error.reason}") from error
        token, seconds = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(seconds, int | float):
            raise SendLater("no access token: the answer has none")
        return token, float(seconds)

    async def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        data: Any,
        headers: dict[str, str],
    ) -> dict[str, Any]:
        async with self._request(method, path, query, data, headers) as response:
            if response.status != 200:
                raise SendLater(f"the API answered {response.status}")
            answer = _object(await response.read())
        self._refuse_failure(answer)
        return answer

    def _request(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        data: Any,
        headers: dict[str, str],
    ) -> Any:
        return self._session.request(
            method,
            f"{self._api_url}/{path}",
            params=query,
            data=data,
            headers=headers,
            timeout=_TIMEOUT,
            allow_redirects=False,
        )

    async def _quietly(self, answer: Awaitable[T]) -> T:
        """Network faults as SendLater, without the address: it holds the token."""
        try:
            return await answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SendLater(f"the API cannot be reached ({type(error).__name__})") from None

    def _refuse_json(self, data: bytes) -> None:
        """Raise for an answer that is no file: a failure, or where a video can be watched."""
        try:
            answer = json.loads(data)
        except ValueError:
            return
        if isinstance(answer, dict) and "errcode" in answer:
            self._refuse_failure(answer)
        if isinstance(answer, dict) and "video_url" in answer:
            raise SendRefused("the platform shows the video, it does not hand it out")

    def _refuse_failure(self, answer: dict[str, Any]) -> None:
        code = answer.get("errcode", 0)
        if code == 0:
            return
        reason = f"{code} {answer.get('errmsg', '')}".strip()
        codes = self._codes
        if code in codes.token:
            raise TokenRefused(reason)
        if code in codes.quota:
            raise QuotaUsed(f"{reason}; it goes out when the customer writes", _LIMIT_PAUSE_S)
        if code in codes.passing:
            raise SendLater(reason)
        if code in codes.mendable:
            logger.error("api refused us", extra={"code": code})
            raise SendLater(f"{reason}; check id, secret, permissions and the IP address list")
        raise SendRefused(f"{reason}: {codes.never[code]}" if code in codes.never else reason)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        raise SendLater("the API answered without JSON") from None
    if not isinstance(value, dict):
        raise SendLater("the API answered without an object")
    return value
