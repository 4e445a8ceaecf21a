"""Messenger: the inbox of Facebook pages, through Meta's Graph API."""

from datetime import timedelta
from functools import partial
from typing import Any

from aiohttp import web
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from bot.channels import media, meta
from bot.channels.button_data import payload_of
from bot.channels.channel import Channel, ChannelSettings, Outgoing, SendRefused, Upload, Wiring
from bot.channels.messenger.format import Said, read_messages, render
from bot.channels.parts import Parts
from bot.channels.rates import Bucket
from bot.channels.required import require_all
from bot.door import Received

PATH = "/webhooks/messenger"
WINDOW = timedelta(hours=24)
# People may answer for longer than programs.
AGENT_WINDOW = timedelta(days=7)
_GET_STARTED = "GET_STARTED"


class MessengerSettings(ChannelSettings):
    """KEFU_MESSENGER_...: an app at developers.facebook.com with the product Messenger."""

    model_config = SettingsConfigDict(env_prefix="KEFU_MESSENGER_")

    access_token: SecretStr | None = Field(
        None, description="Messenger: the page's access token; unset, the channel is off."
    )
    app_secret: SecretStr | None = Field(
        None, description="Messenger: the Meta app's secret, which signs what Meta sends."
    )
    verify_token: SecretStr | None = Field(
        None, description="Messenger: a word of your choice, given to Meta with the webhook."
    )
    start_text: str = Field(
        "hello",
        description="Messenger: what a customer who presses Get Started says to the bot.",
    )
    human_agent: bool = Field(
        False,
        description="Messenger: whether Meta allows the app the tag HUMAN_AGENT, with which people "
        "may answer for 7 days instead of 24 hours.",
    )
    api_url: str = Field(
        "https://graph.facebook.com/v23.0", description="Messenger: base address of the Graph API."
    )
    media_hosts: list[str] = Field(
        meta.MEDIA_HOSTS,
        description="Messenger: hosts that customers' files are loaded from, their subdomains "
        "included (JSON list).",
    )


def open_channel(wiring: Wiring) -> Channel | None:
    """The channel, None when it is not set up; raises SettingError when it is by half."""
    settings = MessengerSettings()
    secrets = require_all(settings, "access_token", "app_secret", "verify_token")
    return Messenger(wiring, settings, secrets) if secrets else None


class Messenger:
    """The pages of one app; an account is `page_id:psid`."""

    name = "messenger"
    numbered = True

    def __init__(
        self, wiring: Wiring, settings: MessengerSettings, secrets: dict[str, str]
    ) -> None:
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
        # Of a page: texts 300 a second, pictures and files 10.
        self._texts = Bucket(300, 300, wiring.world)
        self._files = Bucket(10, 10, wiring.world)

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
        received = [await self._received(said) for said in read_messages(events)]
        await meta.keep_all(self._wiring.door, self.name, received)
        return web.Response(text="EVENT_RECEIVED")

    async def send(self, outgoing: Outgoing) -> None:
        """Send words, picture, quick replies and files; raises SendLater or SendRefused."""
        kind = self._kind(outgoing)
        await self._parts.send(
            outgoing.id,
            [partial(self._send_one, outgoing, kind, message) for message in render(outgoing)],
        )

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        """Download a customer's file; raises SendLater or SendRefused."""
        url = str(attachment.get("reference") or "")
        if not media.is_from(url, self._settings.media_hosts, also=self._settings.api_url):
            raise SendRefused("the file's address is not one of KEFU_MESSENGER_MEDIA_HOSTS")
        # Its type is the server's to know: the message has only the kind.
        return await media.download(
            self._wiring.session, url, max_bytes=self._wiring.limits.max_file_bytes, headers={}
        )

    async def _received(self, said: Said) -> Received:
        text = said.text
        if said.pressed == _GET_STARTED:
            text = self._settings.start_text
        elif said.pressed is not None:
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

    def _kind(self, outgoing: Outgoing) -> dict[str, str]:
        """As what it is sent; raises SendRefused when the customer has not written for too long."""
        heard = outgoing.last_inbound_at
        age = self._wiring.world.now() - heard if heard is not None else timedelta()
        if age <= WINDOW:
            return {"messaging_type": "RESPONSE"}
        if outgoing.author != "agent" or not self._settings.human_agent:
            raise SendRefused("the customer wrote more than 24 hours ago")
        if age > AGENT_WINDOW:
            raise SendRefused("the customer wrote more than 7 days ago")
        return {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}

    async def _send_one(
        self, outgoing: Outgoing, kind: dict[str, str], message: dict[str, Any]
    ) -> None:
        try:
            await self._post(outgoing, kind, message)
        except meta.WindowClosed:
            raise
        except SendRefused:
            attachment = message.get("attachment", {})
            url = attachment.get("payload", {}).get("url")
            if url is None:
                raise
            # Facebook could not load it: the address as text.
            await self._post(outgoing, kind, {"text": url})

    async def _post(
        self, outgoing: Outgoing, kind: dict[str, str], message: dict[str, Any]
    ) -> None:
        page, _, customer = outgoing.account.partition(":")
        await (self._files if "attachment" in message else self._texts).take(page)
        await self._graph.post(
            f"{page}/messages", {"recipient": {"id": customer}, "message": message} | kind
        )
