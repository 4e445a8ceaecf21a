"""Slack's side of a conversation: events and presses in, Web API methods out."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bot.channels import media
from bot.channels.button_data import payload_of
from bot.channels.channel import Outgoing, SendLater, SendRefused, Upload, Wiring
from bot.channels.parts import Part, Parts
from bot.channels.rates import Bucket
from bot.channels.signatures import check_slack_signature
from bot.channels.slack import SlackSettings
from bot.channels.slack.blocks import messages_of, mrkdwn, without_images
from bot.channels.slack.events import Address, read_event, read_press
from bot.channels.stored_files import stored_file
from bot.channels.text_fallback import file_line
from bot.door import Received
from bot.errors import RequestError
from bot.http import body

logger = logging.getLogger(__name__)

PATH = "/webhooks/slack"
MAX_BODY_BYTES = 512 * 1024
REQUEST_TIMEOUT_S = 15.0
UPLOAD_TIMEOUT_S = 25.0
_FILES_HOST = "files.slack.com"
# What may pass, by itself or when somebody mends the app; any other error is for good.
_PASSING = frozenset(
    {
        "account_inactive",
        "accesslimited",
        "fatal_error",
        "internal_error",
        "invalid_auth",
        "message_limit_exceeded",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "ratelimited",
        "rate_limited",
        "request_timeout",
        "service_unavailable",
        "team_access_not_granted",
        "team_added_to_org",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)


class Slack:
    """One workspace: direct messages to the app, and its mentions in channels."""

    name = "slack"
    numbered = False

    def __init__(self, wiring: Wiring, settings: SlackSettings) -> None:
        assert settings.bot_token is not None
        assert settings.signing_secret is not None
        self._wiring = wiring
        self._secret = settings.signing_secret.get_secret_value()
        self._token = settings.bot_token.get_secret_value()
        self._client = AsyncWebClient(
            self._token,
            base_url=settings.api_url,
            session=wiring.session,
            # The outbox tries again; two layers of it would only hide how late it is.
            retry_handlers=[],
        )
        self._api_url = settings.api_url
        if URL(settings.api_url).host != "slack.com":
            # Set to somewhere near: not by way of the environment's proxy.
            self._client.proxy = None
        self._parts = Parts()
        self._each_channel = Bucket(1, 1, wiring.world)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the webhook into the gateway's router."""
        router.add_post(PATH, self.receive)

    async def receive(self, request: web.Request) -> web.Response:
        """Take an event or a press in; 200 once it is on disk or nothing for us."""
        raw = await body.read_raw(request, MAX_BODY_BYTES)
        signature = request.headers.get("X-Slack-Signature")
        check_slack_signature(
            raw,
            signature,
            request.headers.get("X-Slack-Request-Timestamp"),
            secret=self._secret,
            now=self._wiring.world.now(),
        )
        # A request sent again by anyone but Slack has the same signature; Slack signs anew.
        nonce = f"{self.name}:{signature}"
        if request.content_type == "application/x-www-form-urlencoded":
            return await self._press(raw, nonce)
        fields = body.parse_object(raw)
        if fields.get("type") == "url_verification":
            return web.json_response({"challenge": str(fields.get("challenge") or "")})
        if fields.get("type") == "event_callback":
            received = read_event(fields, nonce)
            if received is not None:
                await self._receive(received)
        else:
            logger.warning("slack event not taken", extra={"type": str(fields.get("type"))[:40]})
        return web.Response()

    async def send(self, outgoing: Outgoing) -> None:
        """Send text, picture, buttons and files; raises SendLater or SendRefused."""
        address = Address.of(outgoing.account)
        parts: list[Part] = [
            partial(self._post, address, message) for message in messages_of(outgoing)
        ]
        parts += [partial(self._attach, address, one) for one in outgoing.attachments]
        await self._parts.send(outgoing.id, parts)

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        """Download a customer's file; raises SendLater or SendRefused."""
        most = self._wiring.limits.max_file_bytes
        if (attachment.get("size") or 0) > most:
            raise SendRefused(f"the file is larger than {most} bytes")
        url = str(attachment["reference"])
        if not media.is_from(url, (_FILES_HOST,), also=self._api_url):
            # The request carries the token: it goes to Slack's own host and nowhere else.
            raise SendRefused(f"the file is not at {_FILES_HOST}")
        upload = await media.download(
            self._wiring.session,
            url,
            max_bytes=most,
            headers={"Authorization": f"Bearer {self._token}"},
        )
        return replace(upload, name=str(attachment.get("name") or upload.name))

    async def _press(self, raw: bytes, nonce: str) -> web.Response:
        form = parse_qs(raw.decode("utf-8", "replace"), max_num_fields=20)
        press = read_press(body.parse_object((form.get("payload") or [""])[0].encode()))
        if press is None:
            return web.Response()
        account = press.address.account
        payload = await payload_of(
            self._wiring.journal, press.data, channel=self.name, account=account
        )
        text = payload or press.title
        if text:
            received = Received(account=account, message_id=press.id, text=text, nonce=nonce)
            await self._receive(received)
        return web.Response()

    async def _receive(self, received: Received) -> None:
        try:
            await self._wiring.door.receive(self.name, received)
        except RequestError as error:
            if error.status != 422:
                raise
            # Kept before, with another text: to be sent it again would change nothing.
            logger.warning("slack event came twice", extra={"event": received.message_id})

    async def _post(self, address: Address, message: dict[str, Any]) -> None:
        await self._each_channel.take(address.channel)
        try:
            await self._call_post(address, message)
        except _BlocksRefused:
            # Most likely a picture that Slack could not fetch: its address as text instead.
            await self._call_post(address, without_images(message))

    async def _call_post(self, address: Address, message: dict[str, Any]) -> None:
        async with _as_ours(REQUEST_TIMEOUT_S):
            await self._client.chat_postMessage(
                channel=address.channel,
                thread_ts=address.thread or None,
                unfurl_links=False,
                unfurl_media=False,
                **message,
            )

    async def _attach(self, address: Address, attachment: dict[str, Any]) -> None:
        await self._each_channel.take(address.channel)
        upload = await stored_file(self._wiring.journal, attachment)
        if upload is None:
            await self._call_post(address, {"text": mrkdwn(file_line(attachment))})
            return
        async with _as_ours(UPLOAD_TIMEOUT_S):
            await self._client.files_upload_v2(
                filename=upload.name,
                title=upload.name,
                content=upload.data,
                channel=address.channel,
                thread_ts=address.thread or None,
            )


class _BlocksRefused(SendRefused):
    """Slack refused a message for its blocks."""


@asynccontextmanager
async def _as_ours(timeout_s: float) -> AsyncIterator[None]:
    """Bound a call's time, and turn its errors into SendLater and SendRefused."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except SlackApiError as error:
        raise _sorted(error) from None
    except (SlackClientError, aiohttp.ClientError, TimeoutError) as error:
        raise SendLater(f"Slack cannot be reached ({type(error).__name__})") from None


def _sorted(error: SlackApiError) -> SendLater | SendRefused:
    response: Any = error.response
    headers = getattr(response, "headers", None) or {}
    data = getattr(response, "data", None)
    code = str(data.get("error") or "") if isinstance(data, dict) else ""
    if getattr(response, "status_code", 0) == 429 or code in ("ratelimited", "rate_limited"):
        wait = str(headers.get("Retry-After") or "")
        return SendLater("Slack asks for patience", float(wait) if wait.isdigit() else None)
    if not code or code in _PASSING:
        return SendLater(f"Slack: {code or 'no answer that we know'}")
    if code.startswith("invalid_blocks"):
        return _BlocksRefused(f"Slack: {code}")
    return SendRefused(f"Slack: {code}")
