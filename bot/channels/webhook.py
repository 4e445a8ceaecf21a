"""A signed webhook with a callback: any server can be a channel."""

import json
import logging
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from bot.channels import media
from bot.channels.channel import (
    Channel,
    ChannelSettings,
    Outgoing,
    SendLater,
    SendRefused,
    Upload,
    Wiring,
)
from bot.channels.signatures import check_kefu_signature, kefu_signature
from bot.door import Received
from bot.errors import RequestError, SettingError
from bot.http import body

logger = logging.getLogger(__name__)

PATH = "/webhooks/webhook"
TIMEOUT_S = 15.0
_MAX_ATTACHMENTS = 10
_MAX_VALUE_CHARS = 500
_KINDS = ("image", "file", "audio", "video", "location", "contact")
# The callback says that this message can never be taken: to try again would not help.
_FOR_GOOD = (400, 410, 413, 415, 422)


class WebhookSettings(ChannelSettings):
    """KEFU_WEBHOOK_...: a server of yours that brings messages and takes answers."""

    model_config = SettingsConfigDict(env_prefix="KEFU_WEBHOOK_")

    secret: SecretStr | None = Field(
        None,
        description="Webhook: key that signs requests in both directions, at least 32 characters; "
        "unset, the channel is off.",
    )
    previous_secret: SecretStr | None = Field(
        None, description="Webhook: the key before, while you change it; both pass."
    )
    callback_url: str | None = Field(
        None, description="Webhook: https address on your server that answers are posted to."
    )


def open_channel(wiring: Wiring) -> Channel | None:
    """The channel, None without a secret; raises SettingError for a bad or missing setting."""
    settings = WebhookSettings()
    if settings.secret is None and settings.callback_url is None:
        return None
    if settings.secret is None or len(settings.secret.get_secret_value()) < 32:
        raise SettingError(
            "KEFU_WEBHOOK_SECRET", "has to be 32 characters or more; try `openssl rand -hex 32`"
        )
    if settings.callback_url is None:
        raise SettingError("KEFU_WEBHOOK_CALLBACK_URL", "is missing; answers are posted there")
    parts = urlsplit(settings.callback_url)
    if not parts.hostname or not (
        parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    ):
        raise SettingError(
            "KEFU_WEBHOOK_CALLBACK_URL", "has to be an https address (http on this machine only)"
        )
    return Webhook(wiring, settings)


class Webhook:
    """POST in with a signature, POST out with a signature."""

    name = "webhook"
    numbered = False

    def __init__(self, wiring: Wiring, settings: WebhookSettings) -> None:
        self._wiring = wiring
        self._secrets = [
            secret.get_secret_value()
            for secret in (settings.secret, settings.previous_secret)
            if secret is not None and secret.get_secret_value()
        ]
        self._callback_url = str(settings.callback_url)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the webhook into the gateway's router."""
        router.add_post(PATH, self.receive)

    async def receive(self, request: web.Request) -> web.Response:
        """Take a message in: 202 once it is on disk."""
        raw = await body.read_raw(request, body.MAX_BODY_BYTES)
        signature = request.headers.get("Kefu-Signature")
        check_kefu_signature(
            raw,
            signature,
            request.headers.get("Kefu-Timestamp"),
            secrets=self._secrets,
            now=self._wiring.world.now(),
        )
        received = self._read(body.parse_object(raw), f"{self.name}:{signature}")
        accepted = await self._wiring.door.receive(self.name, received)
        if accepted is None:
            # Checked before; only a channel without answers of its own gets here.
            raise RequestError(400, "text", "it cannot be read", "send a text")
        return web.json_response(
            {
                "message": {
                    "id": received.message_id,
                    "seq": accepted.seq,
                    "created_at": accepted.created_at.isoformat(),
                    "duplicate": accepted.duplicate,
                },
                "conversation_id": accepted.inbound.conversation_id,
            },
            status=202,
        )

    async def send(self, outgoing: Outgoing) -> None:
        """Post a message to the callback; raises SendLater or SendRefused."""
        raw = json.dumps(_shown(outgoing), ensure_ascii=False).encode()
        timestamp = str(int(self._wiring.world.now().timestamp()))
        # While the secret is changed the receiver finds the one it knows among the signatures.
        signatures = ",".join(kefu_signature(raw, timestamp, secret) for secret in self._secrets)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": outgoing.id,
            "Kefu-Timestamp": timestamp,
            "Kefu-Signature": signatures,
        }
        try:
            async with self._wiring.session.post(
                self._callback_url,
                data=raw,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as response:
                status, wait = response.status, response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SendLater(f"the callback cannot be reached ({type(error).__name__})") from None
        if status in _FOR_GOOD:
            raise SendRefused(f"the callback answered {status}")
        if not 200 <= status < 300:
            # Also 401 and 404: whoever runs the callback may still mend it.
            raise SendLater(f"the callback answered {status}", self._seconds(wait))

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        """Download an attachment from the callback's server; raises SendLater or SendRefused."""
        url = str(attachment["reference"])
        if not self._is_own(url):
            raise SendRefused("the file is not on the callback's server")
        upload = await media.download(
            self._wiring.session,
            url,
            max_bytes=self._wiring.limits.max_file_bytes,
            headers={},
        )
        return replace(upload, name=str(attachment.get("name") or upload.name))

    def _read(self, fields: dict[str, Any], nonce: str) -> Received:
        attachments = fields.get("attachments", [])
        if not isinstance(attachments, list) or len(attachments) > _MAX_ATTACHMENTS:
            raise RequestError(
                400,
                "attachments",
                f"it is not an array of at most {_MAX_ATTACHMENTS}",
                'send objects such as {"kind": "image", "url": "https://..."}',
            )
        found = tuple(
            self._attachment(item, f"attachments[{index}]")
            for index, item in enumerate(attachments)
        )
        text = ""
        if not found or fields.get("text"):
            text = body.read_text(fields, "text", self._wiring.limits.max_text_chars)
        return Received(
            account=body.read_id(fields, "account"),
            message_id=body.read_id(fields, "message_id"),
            text=text,
            attachments=found,
            nonce=nonce,
            locale=body.read_id(fields, "locale") if fields.get("locale") is not None else None,
        )

    def _attachment(self, item: Any, field: str) -> dict[str, Any]:
        if not isinstance(item, dict) or item.get("kind") not in _KINDS:
            raise RequestError(
                400, field, "its kind is unknown", f"send one of {', '.join(_KINDS)}"
            )
        found: dict[str, Any] = {"kind": item["kind"]}
        for name in ("name", "content_type", "text", "url"):
            value = item.get(name)
            if value is None:
                continue
            if not isinstance(value, str) or not value.isprintable():
                raise RequestError(
                    400, f"{field}.{name}", "it is not a printable string", "mend it"
                )
            if len(value) > (2000 if name == "url" else _MAX_VALUE_CHARS):
                raise RequestError(400, f"{field}.{name}", "it is too long", "shorten it")
            found["reference" if name == "url" else name] = value
        if "reference" not in found and "text" not in found:
            raise RequestError(400, field, "there is nothing in it", "send its url or its text")
        if "reference" in found and not self._is_own(found["reference"]):
            # We would fetch whatever a customer can make your server name.
            raise RequestError(
                400,
                f"{field}.url",
                "it is not on the server of KEFU_WEBHOOK_CALLBACK_URL",
                "serve the file from there",
            )
        return found

    def _is_own(self, url: str) -> bool:
        """Whether an address is on the callback's server, as the settings name it."""
        return media.is_from(url, (), also=self._callback_url)

    def _seconds(self, retry_after: str | None) -> float | None:
        """Retry-After, which is a number of seconds or a date."""
        if retry_after is None:
            return None
        if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
            return float(retry_after)
        try:
            moment = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - self._wiring.world.now()).total_seconds())


def _shown(outgoing: Outgoing) -> dict[str, Any]:
    return {
        "id": outgoing.id,
        "conversation_id": outgoing.conversation_id,
        "account": outgoing.account,
        "seq": outgoing.seq,
        "author": outgoing.author,
        "agent_name": outgoing.agent_name,
        "text": outgoing.text,
        "buttons": outgoing.buttons,
        "image": outgoing.image,
        "attachments": outgoing.attachments,
        "custom": outgoing.custom,
        "created_at": outgoing.created_at.isoformat(),
    }


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
