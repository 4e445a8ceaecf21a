"""Telegram's side of a conversation: updates in, the Bot API's methods out."""

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import Any

from aiogram.types import (
    BufferedInputFile,
    CallbackQuery,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    Update,
)
from aiohttp import web
from pydantic import ValidationError

from bot.channels import media
from bot.channels.button_data import data_of, payload_of
from bot.channels.channel import Outgoing, SendLater, SendRefused, Upload, Wiring
from bot.channels.parts import Part, Parts
from bot.channels.rates import Bucket
from bot.channels.signatures import check_token
from bot.channels.stored_files import stored_file
from bot.channels.telegram import TelegramSettings
from bot.channels.telegram.client import ContentRefused, as_ours, open_bot
from bot.channels.telegram.updates import locale_of, pressed_title, read_message
from bot.channels.text_fallback import file_line, split_text, utf16_length
from bot.door import Received
from bot.errors import RequestError
from bot.http import body

logger = logging.getLogger(__name__)

PATH = "/webhooks/telegram"
MAX_UPDATE_BYTES = 512 * 1024
_UPLOAD_TIMEOUT_S = 25
_MAX_TEXT = 4096
_MAX_CAPTION = 1024
_MAX_DATA_BYTES = 64
_MAX_BUTTONS = 100
# What stands over buttons that come without a text: Telegram has no message without one.
_NO_TEXT = "\N{WHITE DOWN POINTING BACKHAND INDEX}"
_UPDATES = ["message", "edited_message", "callback_query"]
_FIRST_RETRY_S = 5.0
_MAX_RETRY_S = 600.0


class Telegram:
    """One bot's private chats; a chat's id is the customer's account."""

    name = "telegram"
    numbered = False

    def __init__(self, wiring: Wiring, settings: TelegramSettings) -> None:
        assert settings.token is not None
        assert settings.webhook_secret is not None
        self._wiring = wiring
        self._settings = settings
        self._secret = settings.webhook_secret.get_secret_value()
        self._bot = open_bot(
            wiring.session, settings.api_url, token=settings.token.get_secret_value()
        )
        self._parts = Parts()
        self._overall = Bucket(30, 30, wiring.world)
        self._each_chat = Bucket(1, 1, wiring.world)
        self._public_url = settings.public_url or wiring.public_url
        self._registering: asyncio.Task[None] | None = None

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the webhook into the gateway's router."""
        router.add_post(PATH, self.update)

    async def start(self) -> None:
        """Tell Telegram where we are, without holding up the start."""
        if self._public_url is None:
            logger.info("telegram webhook not registered: no public address")
            return
        self._registering = asyncio.create_task(self._register(self._public_url))

    async def close(self) -> None:
        """Stop registering if that is still going on."""
        if self._registering is not None:
            self._registering.cancel()
            await asyncio.gather(self._registering, return_exceptions=True)

    async def update(self, request: web.Request) -> web.Response:
        """Take one update in; 200 once it is on disk or nothing for us."""
        check_token(
            request.headers.get("X-Telegram-Bot-Api-Secret-Token"),
            self._secret,
            "X-Telegram-Bot-Api-Secret-Token",
        )
        fields = body.parse_object(await body.read_raw(request, MAX_UPDATE_BYTES))
        try:
            update = Update.model_validate(fields)
        except ValidationError as error:
            # To refuse it would make Telegram send it again, and hold back what comes after it.
            logger.error(
                "telegram update not understood",
                extra={
                    "update_id": fields.get("update_id"),
                    "fields": [".".join(map(str, item["loc"])) for item in error.errors()],
                },
            )
            return web.Response()
        if update.callback_query is not None:
            return await self._press(update.update_id, update.callback_query)
        received = read_message(update, self._settings.start_text)
        if received is not None:
            await self._receive(received)
        return web.Response()

    async def send(self, outgoing: Outgoing) -> None:
        """Send text, picture, buttons and files; raises SendLater or SendRefused."""
        await self._parts.send(outgoing.id, self._parts_of(outgoing))

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        """Download a customer's file; raises SendLater or SendRefused."""
        most = self._wiring.limits.max_file_bytes
        if (attachment.get("size") or 0) > most:
            raise SendRefused(f"the file is larger than {most} bytes")
        with as_ours():
            file = await self._bot.get_file(str(attachment["reference"]))
        if file.file_path is None:
            raise SendRefused("Telegram no longer has the file")
        url = self._bot.session.api.file_url(self._bot.token, file.file_path)
        upload = await media.download(self._wiring.session, url, max_bytes=most, headers={})
        return replace(upload, name=str(attachment.get("name") or upload.name))

    async def _press(self, update_id: int, query: CallbackQuery) -> web.Response:
        # The answer to the press goes into our answer to Telegram: it costs no request, and the
        # button stops turning the moment the press is on disk.
        answer = web.json_response({"method": "answerCallbackQuery", "callback_query_id": query.id})
        # With the message gone (too old), a private chat's id is still its customer's.
        account = str(query.from_user.id)
        if query.message is not None and str(query.message.chat.id) != account:
            return answer
        payload = await payload_of(
            self._wiring.journal, query.data or "", channel=self.name, account=account
        )
        text = payload or pressed_title(query)
        if text:
            received = Received(
                account=account,
                message_id=f"update:{update_id}",
                text=text,
                locale=locale_of(query.from_user),
            )
            await self._receive(received)
        return answer

    async def _receive(self, received: Received) -> None:
        try:
            await self._wiring.door.receive(self.name, received)
        except RequestError as error:
            if error.status != 422:
                raise
            # Kept before, with another text: to be sent it again would change nothing.
            logger.warning("telegram update came twice", extra={"update": received.message_id})

    def _parts_of(self, outgoing: Outgoing) -> list[Part]:
        """The messages that make up one of ours; the buttons are under the last of its words."""
        chat = outgoing.account
        keyboard = _keyboard(outgoing)
        text = outgoing.text or ""
        if keyboard is not None and not text.strip() and not outgoing.image:
            text = _NO_TEXT
        caption = ""
        if outgoing.image and utf16_length(text) <= _MAX_CAPTION:
            caption, text = text, ""
        pieces = split_text(text, _MAX_TEXT, utf16_length)
        last = None if outgoing.image else len(pieces) - 1
        parts: list[Part] = [
            partial(self._say, chat, piece, keyboard if index == last else None)
            for index, piece in enumerate(pieces)
        ]
        if outgoing.image:
            parts.append(partial(self._show, chat, outgoing.image, caption, keyboard))
        parts += [partial(self._attach, chat, attachment) for attachment in outgoing.attachments]
        return parts

    async def _say(
        self, chat: str, text: str, keyboard: InlineKeyboardMarkup | None = None
    ) -> None:
        await self._take_turn(chat)
        with as_ours():
            await self._bot.send_message(chat, text, reply_markup=keyboard)

    async def _show(
        self, chat: str, url: str, caption: str, keyboard: InlineKeyboardMarkup | None
    ) -> None:
        await self._take_turn(chat)
        try:
            with as_ours():
                await self._bot.send_photo(
                    chat, url, caption=caption or None, reply_markup=keyboard
                )
        except ContentRefused:
            # Telegram could not fetch it, or it is no picture to Telegram: the address as text.
            await self._say(chat, f"{caption}\n{url}".strip(), keyboard)

    async def _attach(self, chat: str, attachment: dict[str, Any]) -> None:
        stored = await stored_file(self._wiring.journal, attachment)
        if stored is None:
            await self._say(chat, file_line(attachment))
            return
        await self._take_turn(chat)
        # The bytes rather than the address: by address Telegram takes few types of documents.
        file = BufferedInputFile(stored.data, stored.name)
        if attachment.get("kind") == "image" and stored.content_type != "image/gif":
            try:
                with as_ours():
                    await self._bot.send_photo(chat, file, request_timeout=_UPLOAD_TIMEOUT_S)
                return
            except ContentRefused:
                # Too large or too long for a photo; as a document it may go.
                pass
        with as_ours():
            await self._bot.send_document(chat, file, request_timeout=_UPLOAD_TIMEOUT_S)

    async def _take_turn(self, chat: str) -> None:
        await self._each_chat.take(chat)
        await self._overall.take()

    async def _register(self, public_url: str) -> None:
        delay_s = _FIRST_RETRY_S
        while True:
            try:
                with as_ours():
                    await self._bot.set_webhook(
                        public_url.rstrip("/") + PATH,
                        secret_token=self._secret,
                        allowed_updates=_UPDATES,
                    )
            except (SendLater, SendRefused) as error:
                logger.error("telegram webhook not registered", extra={"error": error.reason})
                await self._wiring.world.sleep(delay_s)
                delay_s = min(delay_s * 2, _MAX_RETRY_S)
            else:
                logger.info("telegram webhook registered")
                return


def _keyboard(outgoing: Outgoing) -> InlineKeyboardMarkup | None:
    rows = [
        [
            InlineKeyboardButton(
                text=str(button.get("title") or button.get("payload") or "?"),
                callback_data=data_of(outgoing, index, _MAX_DATA_BYTES),
            )
        ]
        for index, button in enumerate(outgoing.buttons[:_MAX_BUTTONS])
    ]
    return InlineKeyboardMarkup(inline_keyboard=rows) if rows else None
