"""Reads Telegram's updates: which are a customer's, and what they say."""

import logging
import re
from typing import Any

from aiogram.types import CallbackQuery, InlineKeyboardMarkup, Message, Update, User

from bot.door import Received

logger = logging.getLogger(__name__)

_LANGUAGE = re.compile(r"[A-Za-z0-9-]{2,35}")


def account_of(message: Message) -> str | None:
    """The customer's address; None for groups, channels and other bots.

    In a group everybody would read what the bot says about one customer's order.
    """
    if message.chat.type != "private" or (message.from_user and message.from_user.is_bot):
        return None
    return str(message.chat.id)


def locale_of(user: User | None) -> str | None:
    """The language that a customer's app is set to."""
    code = user.language_code if user is not None else None
    return code if code and _LANGUAGE.fullmatch(code) else None


def read_message(update: Update, start_text: str) -> Received | None:
    """A customer's message, also one that was edited; None when there is nothing to answer."""
    message = update.message or update.edited_message
    account = account_of(message) if message is not None else None
    if message is None or account is None:
        return None
    if update.edited_message is not None and message.location is not None:
        # A live location comes as an edit every few seconds.
        return None
    text = message.text or message.caption or ""
    attachments = _attachments(message)
    if message.sticker is not None or message.dice is not None:
        text = (message.sticker.emoji if message.sticker else None) or (
            message.dice.emoji if message.dice else ""
        )
    if text == "/start" or text.startswith("/start "):
        text = start_text
    if not text and not attachments:
        # Someone joined, a poll, a kind of message that came after this code.
        logger.info("update not for the bot", extra={"update_id": update.update_id})
        return None
    return Received(
        account=account,
        message_id=f"update:{update.update_id}",
        text=text,
        attachments=tuple(attachments),
        locale=locale_of(message.from_user),
    )


def pressed_title(query: CallbackQuery) -> str | None:
    """What the pressed button says, as Telegram tells it."""
    markup = query.message.reply_markup if isinstance(query.message, Message) else None
    if isinstance(markup, InlineKeyboardMarkup):
        for row in markup.inline_keyboard:
            for button in row:
                if button.callback_data == query.data:
                    return button.text
    return None


def _attachments(message: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if message.photo:
        # The same picture in several sizes: the last is the largest.
        photo = message.photo[-1]
        found.append(_file("image", photo, f"photo-{photo.file_unique_id}.jpg", "image/jpeg"))
    for kind, file, content_type in (
        ("audio", message.voice, "audio/ogg"),
        ("audio", message.audio, "audio/mpeg"),
        ("video", message.video, "video/mp4"),
        ("video", message.video_note, "video/mp4"),
        ("file", message.document, "application/octet-stream"),
    ):
        if file is not None:
            found.append(_file(kind, file, None, content_type))
    if message.venue is not None:
        place = message.venue
        found.append(
            {
                "kind": "location",
                "name": place.title,
                "text": f"{place.title}, {place.address} ({_coordinates(place.location)})",
            }
        )
    elif message.location is not None:
        found.append({"kind": "location", "text": _coordinates(message.location)})
    if message.contact is not None:
        name = " ".join(filter(None, (message.contact.first_name, message.contact.last_name)))
        found.append(
            {"kind": "contact", "name": name, "text": f"{name}, {message.contact.phone_number}"}
        )
    return found


def _file(kind: str, file: Any, name: str | None, content_type: str) -> dict[str, Any]:
    """A file as the log keeps it: `reference` is good for this bot only, and not for ever."""
    content_type = getattr(file, "mime_type", None) or content_type
    name = getattr(file, "file_name", None) or name
    if kind == "file" and content_type in ("image/jpeg", "image/png", "image/webp"):
        kind = "image"
    found = {
        "kind": kind,
        "name": name or f"{kind}-{file.file_unique_id}",
        "content_type": content_type,
        "reference": file.file_id,
    }
    if file.file_size is not None:
        found["size"] = file.file_size
    return found


def _coordinates(location: Any) -> str:
    return f"{location.latitude:.6f},{location.longitude:.6f}"
