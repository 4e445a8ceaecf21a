"""WeCom: the customer service (微信客服) of a company, whose customers write from WeChat."""

import logging
from collections.abc import Awaitable, Callable
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
    SendLater,
    SendRefused,
    Upload,
    Wiring,
)
from bot.channels.held import Held
from bot.channels.parts import Part, Parts
from bot.channels.pictures import as_picture, load_image
from bot.channels.required import require_all
from bot.channels.stored_files import stored_file
from bot.channels.text_fallback import file_line
from bot.channels.wechat.api import Codes, QuotaUsed, WechatApi
from bot.channels.wechat.crypto import Envelope, read_xml
from bot.channels.wecom.inbox import Inbox, Item
from bot.channels.wecom.messages import (
    FAILURES,
    FROM_CUSTOMER,
    account_of,
    msgid_of,
    outgoing_of,
    read_content,
    render_words,
)
from bot.door import Received
from bot.errors import SettingError
from bot.http import body
from bot.log import undelivered

logger = logging.getLogger(__name__)

PATH = "/webhooks/wecom"
MAX_CALLBACK_BYTES = 64 * 1024
_CODES = Codes(
    token=frozenset({40014, 41001, 42001}),
    passing=frozenset({-1, 6000, 45009, 45011, 45033}),
    quota=frozenset({95001}),
    mendable=frozenset({40001, 40013, 40056, 48002, 48003, 60011, 60020, 301002}),
    never={
        95002: "the customer has not written for 48 hours",
        95013: "the session is over",
        95018: "a person answers the customer in WeCom, or the session is over",
    },
)


class WecomSettings(ChannelSettings):
    """KEFU_WECOM_...: an app at work.weixin.qq.com that may manage customer-service accounts."""

    model_config = SettingsConfigDict(env_prefix="KEFU_WECOM_")

    corp_id: str | None = Field(
        None, description="WeCom: the company's id (企业ID); unset, the channel is off."
    )
    secret: SecretStr | None = Field(
        None, description="WeCom: the Secret of the app that manages customer service."
    )
    token: SecretStr | None = Field(
        None, description="WeCom: the Token of the app's callback, which signs it."
    )
    encoding_aes_key: SecretStr | None = Field(
        None, description="WeCom: the EncodingAESKey of the app's callback."
    )
    welcome: str = Field(
        "",
        description="WeCom: what a customer who opens the chat reads, before anything was said; "
        "empty, nothing.",
    )
    api_url: str = Field(
        "https://qyapi.weixin.qq.com", description="WeCom: base address of the API."
    )


def open_channel(wiring: Wiring) -> Channel | None:
    """The channel, None when it is not set up; raises SettingError when it is by half."""
    settings = WecomSettings()
    secrets = require_all(settings, "corp_id", "secret", "token", "encoding_aes_key")
    if secrets is None:
        return None
    try:
        envelope = Envelope(
            token=secrets["token"],
            encoding_aes_key=secrets["encoding_aes_key"],
            receiver=secrets["corp_id"],
        )
    except ValueError as error:
        raise SettingError("KEFU_WECOM_ENCODING_AES_KEY", str(error)) from error
    api = WechatApi(
        wiring.session,
        api_url=settings.api_url,
        codes=_CODES,
        token_request=(
            "GET",
            "cgi-bin/gettoken",
            {"corpid": secrets["corp_id"], "corpsecret": secrets["secret"]},
            None,
        ),
        world=wiring.world,
    )
    return Wecom(wiring, envelope, api, settings.welcome)


class Wecom:
    """The customer-service accounts of one company; an account is `open_kfid:external_userid`."""

    name = "wecom"
    numbered = True

    def __init__(
        self, wiring: Wiring, envelope: Envelope, api: WechatApi, welcome: str = ""
    ) -> None:
        self._wiring = wiring
        self._envelope = envelope
        self._api = api
        self._welcome = welcome
        self._inbox = Inbox(wiring.journal, api, self._keep, channel=self.name, world=wiring.world)
        self._parts = Parts()
        self._held = Held(wiring.journal, self.name, wiring.world)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the callback into the gateway's router."""
        router.add_get(PATH, self.verify)
        router.add_post(PATH, self.callback)

    async def start(self) -> None:
        """Read what came while no gateway was there."""
        await self._inbox.start()

    async def close(self) -> None:
        """Stop reading."""
        await self._inbox.close()

    async def verify(self, request: web.Request) -> web.Response:
        """Answer WeCom's check of the address: what it encrypted, in plain."""
        return web.Response(body=self._open(request, request.query.get("echostr", "")))

    async def callback(self, request: web.Request) -> web.Response:
        """Keep the notice that there is something to read, then acknowledge."""
        fields = read_xml(await body.read_raw(request, MAX_CALLBACK_BYTES))
        event = read_xml(self._open(request, fields.get("Encrypt", "")))
        if event.get("Event") == "kf_msg_or_event" and event.get("OpenKfId"):
            await self._inbox.note(event["OpenKfId"], event.get("Token", ""))
        else:
            # The app's other events, and what employees write to it, are not customers'.
            logger.info("wecom event not taken", extra={"event": event.get("Event")})
        return web.Response(text="success")

    async def send(self, outgoing: Outgoing) -> None:
        """Send words, menu, pictures and files; raises SendLater or SendRefused."""
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

    def _open(self, request: web.Request, ciphertext: str) -> bytes:
        return self._envelope.open(request.query, ciphertext, self._wiring.world.now())

    async def _keep(self, item: Item) -> None:
        """Keep one item of the list; raises RequestError and StorageError to be given it again."""
        if item.get("msgtype") == "event":
            await self._event(item.get("event"))
            return
        account, id_ = account_of(item), meta.text_of(item, "msgid")
        if item.get("origin") != FROM_CUSTOMER or account is None or not id_:
            return
        text, pressed, attachments = read_content(item)
        if pressed is not None:
            payload = await payload_of(
                self._wiring.journal, pressed, channel=self.name, account=account
            )
            text = payload or text
        received = Received(account=account, message_id=id_, text=text, attachments=attachments)
        await meta.keep_all(self._wiring.door, self.name, [received])
        await self._held.release(account)

    async def _event(self, event: Any) -> None:
        kind = meta.text_of(event, "event_type")
        if kind == "msg_send_fail":
            await self._note_failure(event)
        elif kind == "enter_session" and self._welcome:
            code = meta.text_of(event, "welcome_code")
            if code:
                await self._greet(code)

    async def _note_failure(self, event: dict[str, Any]) -> None:
        """What WeCom took and could not deliver after all goes to the dead letters."""
        msgid, kind = meta.text_of(event, "fail_msgid"), event.get("fail_type")
        row = outgoing_of(msgid)
        logger.error("wecom message not delivered", extra={"why": kind, "outgoing": row})
        if row is not None:
            reason = FAILURES.get(kind, "unknown") if isinstance(kind, int) else "unknown"
            await self._wiring.journal.write(
                partial(
                    undelivered.mark, row=row, channel=self.name, error=f"WeCom: {kind} {reason}"
                )
            )

    async def _greet(self, code: str) -> None:
        """Use the code of a customer who came in: it is good for 20 seconds, and once."""
        try:
            await self._api.post(
                "cgi-bin/kf/send_msg_on_event",
                {"code": code, "msgtype": "text", "text": {"content": self._welcome}},
            )
        except (SendLater, SendRefused) as error:
            # Too late, or the page was read a second time. Customers' words do not wait for it.
            logger.info("wecom welcome not sent", extra={"why": error.reason})

    def _parts_of(self, outgoing: Outgoing) -> list[Part]:
        custom = (outgoing.custom or {}).get("wecom")
        if isinstance(custom, dict):
            return [partial(self._post, outgoing, custom, 0)]
        # Pictures first: a menu is answered from under the last words.
        parts: list[Callable[[int], Awaitable[None]]] = []
        if outgoing.image:
            parts.append(partial(self._show, outgoing, outgoing.image))
        parts += [partial(self._attach, outgoing, file) for file in outgoing.attachments]
        parts += [partial(self._post, outgoing, message) for message in render_words(outgoing)]
        return [partial(part, index) for index, part in enumerate(parts)]

    async def _show(self, outgoing: Outgoing, url: str, index: int) -> None:
        picture = await load_image(self._wiring, url)
        if picture is None or not await self._upload("image", outgoing, picture, index):
            await self._post(outgoing, {"msgtype": "text", "text": {"content": url}}, index)

    async def _attach(self, outgoing: Outgoing, attachment: dict[str, Any], index: int) -> None:
        file = await stored_file(self._wiring.journal, attachment)
        picture = as_picture(file) if file is not None else None
        kind = "file" if picture is None else "image"
        upload = picture or file
        if upload is None or not await self._upload(kind, outgoing, upload, index):
            text = {"content": file_line(attachment)}
            await self._post(outgoing, {"msgtype": "text", "text": text}, index)

    async def _upload(self, kind: str, outgoing: Outgoing, upload: Upload, index: int) -> bool:
        try:
            media_id = await self._api.upload(kind, upload)
        except SendRefused as refused:
            logger.warning("file not taken", extra={"why": refused.reason})
            return False
        await self._post(outgoing, {"msgtype": kind, kind: {"media_id": media_id}}, index)
        return True

    async def _post(self, outgoing: Outgoing, message: dict[str, Any], index: int) -> None:
        kf, _, customer = outgoing.account.partition(":")
        envelope = {"touser": customer, "open_kfid": kf, "msgid": msgid_of(outgoing.id, index)}
        await self._api.post("cgi-bin/kf/send_msg", envelope | message)
