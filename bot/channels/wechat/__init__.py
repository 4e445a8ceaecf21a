"""WeChat Official Account: callbacks in, customer-service messages or passive replies out."""

import logging
from dataclasses import replace
from functools import partial
from typing import Any, Literal

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
from bot.channels.held import Held
from bot.channels.parts import Part, Parts
from bot.channels.pictures import as_picture, load_image
from bot.channels.required import require_all
from bot.channels.signatures import unsigned
from bot.channels.stored_files import stored_file
from bot.channels.text_fallback import as_text, file_line, split_text
from bot.channels.wechat.api import Codes, QuotaUsed, WechatApi
from bot.channels.wechat.crypto import Envelope, check, read_xml, write_xml
from bot.channels.wechat.messages import MAX_TEXT_BYTES, read_message
from bot.channels.wechat.passive import WAIT_S, PassiveReplies
from bot.errors import RequestError, SettingError
from bot.http import body
from bot.log.records import Accepted

logger = logging.getLogger(__name__)

PATH = "/webhooks/wechat"
MAX_CALLBACK_BYTES = 64 * 1024
_DAY_S = 86_400.0
_CODES = Codes(
    token=frozenset({40001, 40014, 41001, 42001}),
    passing=frozenset({-1, 45009, 45011, 50002}),
    quota=frozenset({45047}),
    mendable=frozenset({40002, 40013, 40125, 40164, 40243, 41002, 41004, 61004, 89503, 89506}),
    never={
        45015: "the customer has not written for 48 hours, or follows the account no more",
        48001: "the account may not use the customer-service API; see KEFU_WECHAT_PASSIVE_REPLY",
    },
)


class WechatSettings(ChannelSettings):
    """KEFU_WECHAT_...: an Official Account of mp.weixin.qq.com."""

    model_config = SettingsConfigDict(env_prefix="KEFU_WECHAT_")

    app_id: str | None = Field(
        None, description="WeChat: the Official Account's AppID; unset, the channel is off."
    )
    token: SecretStr | None = Field(
        None, description="WeChat: the Token of the server configuration, which signs callbacks."
    )
    app_secret: SecretStr | None = Field(
        None, description="WeChat: the AppSecret; not needed with passive replies only."
    )
    encoding_aes_key: SecretStr | None = Field(
        None,
        description="WeChat: the EncodingAESKey of the safe mode. Set, plain callbacks are "
        "refused; unset, WeChat's signature does not cover what is in a callback.",
    )
    passive_reply: Literal["on", "off"] = Field(
        "off",
        description="WeChat: `on` for an account without the customer-service API: the answer goes "
        "into WeChat's own request when it is there within 4.5 seconds.",
    )
    subscribe_text: str = Field(
        "hello", description="WeChat: what a new follower says to the bot; empty, nothing."
    )
    api_url: str = Field(
        "https://api.weixin.qq.com", description="WeChat: base address of the API."
    )


def open_channel(wiring: Wiring) -> Channel | None:
    """The channel, None when it is not set up; raises SettingError when it is by half."""
    settings = WechatSettings()
    also = ["app_secret"] if settings.passive_reply == "off" else []
    secrets = require_all(settings, "app_id", "token", *also)
    if secrets is None:
        return None
    envelope = None
    if settings.encoding_aes_key is not None:
        try:
            envelope = Envelope(
                token=secrets["token"],
                encoding_aes_key=settings.encoding_aes_key.get_secret_value(),
                receiver=secrets["app_id"],
            )
        except ValueError as error:
            raise SettingError("KEFU_WECHAT_ENCODING_AES_KEY", str(error)) from error
    else:
        logger.warning("wechat callbacks come plain: choose the safe mode")
    return Wechat(wiring, settings, secrets, envelope)


class Wechat:
    """One Official Account; an account is a follower's OpenID."""

    name = "wechat"
    numbered = True

    def __init__(
        self,
        wiring: Wiring,
        settings: WechatSettings,
        secrets: dict[str, str],
        envelope: Envelope | None,
    ) -> None:
        self._wiring = wiring
        self._settings = settings
        self._token = secrets["token"]
        self._envelope = envelope
        self._api = WechatApi(
            wiring.session,
            api_url=settings.api_url,
            codes=_CODES,
            # Not `token`: of that one, each gateway's request would end the others' tokens.
            token_request=(
                "POST",
                "cgi-bin/stable_token",
                {},
                {
                    "grant_type": "client_credential",
                    "appid": secrets["app_id"],
                    "secret": secrets.get("app_secret", ""),
                },
            ),
            world=wiring.world,
        )
        self._parts = Parts()
        self._held = Held(wiring.journal, self.name, wiring.world)
        self._passive = (
            PassiveReplies(wiring.journal, wiring.file_url, WAIT_S)
            if settings.passive_reply == "on"
            else None
        )

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the callback into the gateway's router."""
        router.add_get(PATH, self.verify)
        router.add_post(PATH, self.callback)

    async def verify(self, request: web.Request) -> web.Response:
        """Answer WeChat's check of the address."""
        self._check(request)
        return web.Response(text=request.query.get("echostr", ""))

    async def callback(self, request: web.Request) -> web.Response:
        """Keep what a follower wrote, then `success` at once, or the answer itself."""
        # WeChat signs the address in either mode: nobody unknown is read any further.
        self._check(request)
        fields = read_xml(await body.read_raw(request, MAX_CALLBACK_BYTES))
        if self._envelope is not None:
            if "Encrypt" not in fields:
                raise unsigned("Encrypt", "the message came plain")
            now = self._wiring.world.now()
            fields = read_xml(self._envelope.open(request.query, fields["Encrypt"], now))
        received = read_message(fields, self._settings.subscribe_text)
        if received is None:
            return _success()
        try:
            accepted = await self._wiring.door.receive(self.name, received)
        except RequestError as error:
            if error.status != 422:
                raise
            # Kept before, with another text: to be sent it again would change nothing.
            logger.warning("wechat message came twice", extra={"id": received.message_id})
            return _success()
        await self._held.release(received.account)
        if self._passive is None or accepted is None:
            return _success()
        return await self._answer(self._passive, accepted, fields)

    async def send(self, outgoing: Outgoing) -> None:
        """Send words, pictures and files; raises SendLater or SendRefused."""
        if self._passive is not None:
            raise SendLater("it goes with the answer to the customer's next message", _DAY_S)
        try:
            await self._parts.send(outgoing.id, self._parts_of(outgoing))
        except QuotaUsed:
            self._held.hold(outgoing.account)
            raise

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        """Download a customer's file; raises SendLater or SendRefused."""
        upload = await self._api.download(
            str(attachment.get("reference") or ""), max_bytes=self._wiring.limits.max_file_bytes
        )
        return media.described(upload, attachment)

    def _check(self, request: web.Request) -> None:
        check(request.query, "signature", self._token, self._wiring.world.now())

    async def _answer(
        self, passive: PassiveReplies, accepted: Accepted, fields: dict[str, str]
    ) -> web.Response:
        text = await passive.answer(accepted)
        if not text:
            return _success()
        now = self._wiring.world.now()
        reply = write_xml(
            {
                "ToUserName": fields.get("FromUserName", ""),
                "FromUserName": fields.get("ToUserName", ""),
                "CreateTime": int(now.timestamp()),
                "MsgType": "text",
                "Content": text,
            }
        )
        if self._envelope is not None:
            reply = self._envelope.answer(reply.encode(), now)
        return web.Response(text=reply, content_type="application/xml")

    def _parts_of(self, outgoing: Outgoing) -> list[Part]:
        custom = (outgoing.custom or {}).get("wechat")
        if isinstance(custom, dict):
            return [partial(self._post, outgoing, custom)]
        words = as_text(replace(outgoing, image=None, attachments=[]))
        parts: list[Part] = [partial(self._say, outgoing, piece) for piece in _pieces(words)]
        if outgoing.image:
            parts.append(partial(self._show, outgoing, outgoing.image))
        parts += [partial(self._attach, outgoing, file) for file in outgoing.attachments]
        return parts

    async def _say(self, outgoing: Outgoing, text: str) -> None:
        await self._post(outgoing, {"msgtype": "text", "text": {"content": text}})

    async def _show(self, outgoing: Outgoing, url: str) -> None:
        picture = await load_image(self._wiring, url)
        if picture is None or not await self._picture(outgoing, picture):
            await self._say(outgoing, url)

    async def _attach(self, outgoing: Outgoing, attachment: dict[str, Any]) -> None:
        """A picture as such; other files by their address, WeChat takes none from accounts."""
        file = await stored_file(self._wiring.journal, attachment)
        picture = as_picture(file) if file is not None else None
        if picture is None or not await self._picture(outgoing, picture):
            await self._say(outgoing, file_line(attachment))

    async def _picture(self, outgoing: Outgoing, picture: Upload) -> bool:
        try:
            media_id = await self._api.upload("image", picture)
        except SendRefused as refused:
            logger.warning("picture not taken", extra={"why": refused.reason})
            return False
        await self._post(outgoing, {"msgtype": "image", "image": {"media_id": media_id}})
        return True

    async def _post(self, outgoing: Outgoing, message: dict[str, Any]) -> None:
        await self._api.post("cgi-bin/message/custom/send", {"touser": outgoing.account} | message)


def _pieces(text: str) -> list[str]:
    return split_text(text, MAX_TEXT_BYTES, lambda part: len(part.encode()))


def _success() -> web.Response:
    return web.Response(text="success")
