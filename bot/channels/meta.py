"""What WhatsApp and Messenger share: Meta's challenge, its signed webhooks, and the Graph API."""

import hashlib
import hmac
import logging
from collections.abc import Iterable
from typing import Any

import aiohttp
from aiohttp import web

from bot.channels.channel import SendLater, SendRefused
from bot.channels.signatures import check_challenge, check_hub_signature
from bot.door import Door, Received
from bot.errors import RequestError
from bot.http import body

logger = logging.getLogger(__name__)

# Meta gathers up to 1,000 events in a request.
MAX_EVENTS_BYTES = 4 * 1024 * 1024
MEDIA_HOSTS = ["fbsbx.com", "fbcdn.net", "whatsapp.net"]
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=5)
# Code alone, or code and subcode: the customer has not written for too long.
_WINDOW = {131047, (10, 2018278), (10, 2018065)}
# Limits and faults that pass.
_PASSING = {1, 2, 4, 17, 32, 341, 368, 613, 1200, 80006, 80007}
_PASSING |= {130429, 131000, 131016, 131048, 131056, 131057, 133004}
# Of the token and its permissions: who runs the gateway can mend them before patience ends.
_MENDABLE = {0, 3, 10, 102, 190, 131005, 131031, 131042, *range(200, 300)}


class WindowClosed(SendRefused):
    """The customer has not written for so long that the platform takes no free message."""


def answer_challenge(request: web.Request, verify_token: str) -> web.Response:
    """The answer to the request with which Meta checks the webhook; raises RequestError (403)."""
    check_challenge(request.query.get("hub.verify_token"), verify_token, "hub.verify_token")
    if request.query.get("hub.mode") != "subscribe":
        raise RequestError(400, "hub.mode", "it is not `subscribe`", "set the webhook up at Meta")
    return web.Response(text=request.query.get("hub.challenge", ""))


async def read_events(request: web.Request, app_secret: str) -> dict[str, Any]:
    """The events in a request that Meta signed; raises RequestError."""
    raw = await body.read_raw(request, MAX_EVENTS_BYTES)
    check_hub_signature(raw, request.headers.get("X-Hub-Signature-256"), app_secret)
    return body.parse_object(raw)


async def keep_all(door: Door, channel: str, received: Iterable[Received]) -> None:
    """Keep every message of a request, in order; only then may it be acknowledged.

    Raises RequestError where another try can help, and StorageError. Who tries again is recognised
    by the message's id. A message that nothing can help is left out: refused, it would come again
    for days and hold up the others. A customer who writes too fast (429) holds up nobody else.
    """
    too_fast: dict[str, RequestError] = {}
    for one in received:
        if one.account in too_fast:
            continue
        try:
            await door.receive(channel, one)
        except RequestError as error:
            if error.status == 429:
                too_fast[one.account] = error
            elif error.status == 401 or error.status >= 500:
                raise
            else:
                logger.warning("message left out", extra={"channel": channel, "error": str(error)})
    for refusal in too_fast.values():
        raise refusal


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; nothing for what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(fields: Any, *names: str) -> str:
    """The first of the fields that is a text, fit to be stored; "" when none is."""
    if isinstance(fields, dict):
        for name in names:
            value = fields.get(name)
            if isinstance(value, str) and value:
                return value.replace("\0", "").encode("utf-8", "replace").decode()
    return ""


class Graph:
    """Meta's Graph API with one token."""

    def __init__(
        self, session: aiohttp.ClientSession, *, api_url: str, access_token: str, app_secret: str
    ) -> None:
        self._session = session
        self.api_url = api_url.rstrip("/")
        self.authorization = {"Authorization": f"Bearer {access_token}"}
        # Proves that the token is used by who holds the secret; apps may be set to demand it.
        proof = hmac.digest(app_secret.encode(), access_token.encode(), hashlib.sha256).hex()
        self._proof = {"appsecret_proof": proof}

    async def post(self, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send something; raises SendLater, SendRefused and, of these, WindowClosed."""
        return await self._call("POST", path, payload)

    async def get(self, path: str) -> dict[str, Any]:
        """Look something up; raises SendLater and SendRefused."""
        return await self._call("GET", path, None)

    async def _call(self, method: str, path: str, payload: dict[str, Any] | None) -> dict[str, Any]:
        try:
            async with self._session.request(
                method,
                f"{self.api_url}/{path}",
                params=self._proof,
                json=payload,
                headers=self.authorization,
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                answer = await response.json(content_type=None)
                if response.status == 200 and isinstance(answer, dict) and "error" not in answer:
                    return answer
                raise _failure(response.status, answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SendLater(f"Graph: {type(error).__name__}") from error
        except ValueError as error:
            raise SendLater(f"Graph: answered {response.status} without JSON") from error


def _failure(status: int, answer: Any) -> SendLater | SendRefused:
    """What an answer that is no success means for who sends."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return SendLater(f"Graph: answered {status}")
    code, subcode = error.get("code"), error.get("error_subcode")
    data = error.get("error_data")
    said = text_of(data, "details") or text_of(error, "message")
    reason = f"Graph: {code}{f'/{subcode}' if subcode else ''} {said}"
    if code in _WINDOW or (code, subcode) in _WINDOW:
        return WindowClosed(reason)
    if code in _PASSING or error.get("is_transient") is True or status >= 500 or status == 429:
        return SendLater(reason)
    if code in _MENDABLE:
        logger.error("graph refused us", extra={"code": code, "subcode": subcode})
        return SendLater(f"{reason}; check the access token and its permissions")
    return SendRefused(reason)
