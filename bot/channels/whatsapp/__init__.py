"""WhatsApp: the Cloud API of Meta, for the phone numbers of one app."""

import logging
import re
from datetime import timedelta
from functools import partial
from typing import Any

from aiohttp import web
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from bot.channels import media, meta
from bot.channels.button_data import payload_of
from bot.channels.channel import (
    Channel,
    ChannelSettings,
    Outgoing,
    SendRefused,
    Upload,
    Wiring,
)
from bot.channels.parts import Parts
from bot.channels.rates import Bucket
from bot.channels.required import require_all
from bot.channels.text_fallback import as_text
from bot.channels.whatsapp.format import Said, plain, read_messages, read_values, render
from bot.door import Received
from bot.log import undelivered

logger = logging.getLogger(__name__)

PATH = "/webhooks/whatsapp"
WINDOW = timedelta(hours=24)
_MAX_PARAMETER = 1024


class WhatsAppSettings(ChannelSettings):
    """KEFU_WHATSAPP_...: an app at developers.facebook.com with the product WhatsApp."""

    model_config = SettingsConfigDict(env_prefix="KEFU_WHATSAPP_")

    access_token: SecretStr | None = Field(
        None,
        description="WhatsApp: token of a system user with `whatsapp_business_messaging`; unset, "
        "the channel is off.",
    )
    app_secret: SecretStr | None = Field(
        None, description="WhatsApp: the Meta app's secret, which signs what Meta sends."
    )
    verify_token: SecretStr | None = Field(
        None, description="WhatsApp: a word of your choice, given to Meta with the webhook."
    )
    template: str | None = Field(
        None,
        description="WhatsApp: approved template with one variable in its body, for what is said "
        "more than 24 hours after the customer's last message; unset, that is not sent.",
    )
    template_language: str = Field("en", description="WhatsApp: the template's language code.")
    menu: str = Field(
        "Choose", description="WhatsApp: what the button says that opens a list of choices."
    )
    per_s: float = Field(
        80.0, gt=0, description="WhatsApp: messages a second that the number may send."
    )
    api_url: str = Field(
        "https://graph.facebook.com/v23.0", description="WhatsApp: base address of the Graph API."
    )
    media_hosts: list[str] = Field(
        meta.MEDIA_HOSTS,
        description="WhatsApp: hosts that customers' files are loaded from, their subdomains "
        "included (JSON list).",
    )


def open_channel(wiring: Wiring) -> Channel | None:
    """The channel, None when it is not set up; raises SettingError when it is by half."""
    settings = WhatsAppSettings()
    secrets = require_all(settings, "access_token", "app_secret", "verify_token")
    return WhatsApp(wiring, settings, secrets) if secrets else None


class WhatsApp:
    """The phone numbers of one app; an account is `phone_number_id:wa_id`."""

    name = "whatsapp"
    numbered = True

    def __init__(self, wiring: Wiring, settings: WhatsAppSettings, secrets: dict[str, str]) -> None:
        self._wiring = wiring
        self._settings = settings
        self._app_secret = secrets["app_secret"]
        self._verify_token = secrets["verify_token"]
        self._graph = meta.Graph(
            wiring.session,
            api_url=settings.api_url,
            access_token=secrets["access_token"],
            app_secret=secrets["app_secret"],
        )
        self._parts = Parts()
        self._overall = Bucket(settings.per_s, max(int(settings.per_s), 1), wiring.world)
        # One message in six seconds to one customer; 45 may be sent ahead and are then paid off.
        self._pair = Bucket(1 / 6, 45, wiring.world)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the webhook into the gateway's router."""
        router.add_get(PATH, self.verify)
        router.add_post(PATH, self.events)

    async def verify(self, request: web.Request) -> web.Response:
        """Answer Meta's challenge."""
        return meta.answer_challenge(request, self._verify_token)

    async def events(self, request: web.Request) -> web.Response:
        """Keep what customers wrote; 200 once all of it is on disk."""
        events = await meta.read_events(request, self._app_secret)
        values = list(read_values(events))
        for value in values:
            await self._note_failures(value)
        received = [await self._received(said) for value in values for said in read_messages(value)]
        await meta.keep_all(self._wiring.door, self.name, received)
        return web.Response()

    async def send(self, outgoing: Outgoing) -> None:
        """Send words, picture, buttons and files; raises SendLater or SendRefused."""
        heard = outgoing.last_inbound_at
        if heard is not None and self._wiring.world.now() - heard > WINDOW:
            await self._send_template(outgoing)
            return
        messages = render(outgoing, self._settings.menu)
        try:
            await self._parts.send(
                outgoing.id, [partial(self._send_one, outgoing, message) for message in messages]
            )
        except meta.WindowClosed:
            # By Meta's clock it is later than by ours.
            await self._send_template(outgoing)

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        """Download a customer's file; raises SendLater or SendRefused."""
        reference = str(attachment.get("reference") or "")
        if not re.fullmatch("[0-9A-Za-z_-]{1,256}", reference):
            raise SendRefused("the file has no media id")
        described = await self._graph.get(reference)
        url = meta.text_of(described, "url")
        # The token goes along: only to hosts that are Meta's.
        if not media.is_from(url, self._settings.media_hosts, also=self._settings.api_url):
            raise SendRefused("the file's address is not one of KEFU_WHATSAPP_MEDIA_HOSTS")
        file = await media.download(
            self._wiring.session,
            url,
            max_bytes=self._wiring.limits.max_file_bytes,
            headers=self._graph.authorization,
        )
        return media.described(file, attachment)

    async def _received(self, said: Said) -> Received:
        text = said.text
        if said.pressed is not None:
            # A title where the button is not one of ours any more.
            text = (
                await payload_of(
                    self._wiring.journal, said.pressed, channel=self.name, account=said.account
                )
                or text
            )
        return Received(
            account=said.account,
            message_id=said.message_id,
            text=text,
            attachments=said.attachments,
        )

    async def _note_failures(self, value: dict[str, Any]) -> None:
        """What WhatsApp took and could not deliver after all goes to the dead letters."""
        for status in meta.objects(value.get("statuses")):
            if status.get("status") != "failed":
                continue
            errors = meta.objects(status.get("errors")) or [{}]
            code = errors[0].get("code")
            said = meta.text_of(errors[0].get("error_data"), "details") or meta.text_of(
                errors[0], "title", "message"
            )
            row = meta.text_of(status, "biz_opaque_callback_data")
            logger.error(
                "whatsapp message not delivered",
                extra={"code": code, "wamid": meta.text_of(status, "id"), "outgoing": row},
            )
            if row:
                await self._wiring.journal.write(
                    partial(
                        undelivered.mark,
                        row=row,
                        channel=self.name,
                        error=f"WhatsApp: {code} {said}",
                    )
                )

    async def _send_template(self, outgoing: Outgoing) -> None:
        if self._settings.template is None:
            raise SendRefused(
                "the customer wrote more than 24 hours ago, and KEFU_WHATSAPP_TEMPLATE is not set"
            )
        # A parameter is one line, without runs of spaces.
        words = " ".join(as_text(outgoing).split())
        if not words or len(words) > _MAX_PARAMETER:
            raise SendRefused(
                f"the customer wrote more than 24 hours ago, and a template takes 1 to "
                f"{_MAX_PARAMETER} characters"
            )
        template = {
            "name": self._settings.template,
            "language": {"code": self._settings.template_language},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": words}]}],
        }
        await self._send_one(outgoing, {"type": "template", "template": template})

    async def _send_one(self, outgoing: Outgoing, message: dict[str, Any]) -> None:
        try:
            await self._post(outgoing, message)
        except meta.WindowClosed:
            raise
        except SendRefused:
            words = plain(message)
            if words is None:
                raise
            await self._post(outgoing, words)

    async def _post(self, outgoing: Outgoing, message: dict[str, Any]) -> None:
        number, _, customer = outgoing.account.partition(":")
        await self._pair.take(outgoing.account)
        await self._overall.take(number)
        envelope = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": customer,
            # Comes back with the delivery status.
            "biz_opaque_callback_data": outgoing.id,
        }
        await self._graph.post(f"{number}/messages", envelope | message)
