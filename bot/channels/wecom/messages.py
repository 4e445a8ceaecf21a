"""WeCom's forms of customer-service messages: theirs into ours, ours into theirs."""

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.channels.button_data import data_of
from bot.channels.channel import Outgoing
from bot.channels.meta import text_of
from bot.channels.text_fallback import as_text, split_text
from bot.channels.wechat.messages import MAX_TEXT_BYTES

logger = logging.getLogger(__name__)

FROM_CUSTOMER = 3
_MAX_HEAD_BYTES = 1024
_MAX_ITEMS = 10
_MAX_ITEM_BYTES = 128
_MAX_ID_BYTES = 64
_MEDIA = {"image": "image", "voice": "audio", "video": "video", "file": "file"}
_ENDINGS = {"image": ".jpg", "voice": ".amr", "video": ".mp4", "file": ""}
# Ours are 28 characters; the platform takes 32.
_MSGID = re.compile(r"([0-9a-zA-Z-]{1,29})_([0-9a-z]{1,2})")
# What `msg_send_fail` says, as the platform documents it.
FAILURES = {
    1: "the customer-service account was deleted",
    2: "the app is switched off",
    4: "the customer has not written for 48 hours",
    5: "the session is closed",
    6: "more than 5 messages since the customer's last one",
    8: "the company is not verified",
    10: "the customer refuses messages",
    11: "the company is not verified",
    12: "the company has no right to customer service",
    13: "the customer-service account does not exist",
}


def account_of(item: Mapping[str, Any]) -> str | None:
    """The customer's address, `open_kfid:external_userid`; None when the item lacks it."""
    kf, customer = text_of(item, "open_kfid"), text_of(item, "external_userid")
    return f"{kf}:{customer}" if kf and customer else None


def read_content(item: Mapping[str, Any]) -> tuple[str, str | None, tuple[dict[str, Any], ...]]:
    """What a customer said: the text, what the menu item carried that was pressed, attachments."""
    kind = text_of(item, "msgtype")
    content = item.get(kind)
    if kind == "text":
        return text_of(content, "content"), text_of(content, "menu_id") or None, ()
    if kind == "link":
        words = [text_of(content, name) for name in ("title", "desc", "url")]
        return "\n".join(word for word in words if word), None, ()
    if kind == "location" and isinstance(content, dict):
        place = f"{content.get('latitude')},{content.get('longitude')}"
        words = [text_of(content, "name"), text_of(content, "address"), place]
        return "", None, ({"kind": "location", "text": "\n".join(filter(None, words))},)
    reference = text_of(content, "media_id")
    if kind in _MEDIA and reference:
        name = text_of(content, "file_name", "filename") or _MEDIA[kind] + _ENDINGS[kind]
        return "", None, ({"kind": _MEDIA[kind], "name": name, "reference": reference},)
    logger.info("wecom message of a kind not taken", extra={"kind": kind})
    return "", None, ()


def render_words(outgoing: Outgoing) -> list[dict[str, Any]]:
    """The messages that hold a message's text and buttons."""
    items = _menu(outgoing)
    if not items:
        words = as_text(replace(outgoing, image=None, attachments=[]))
        return [_text(piece) for piece in _pieces(words, MAX_TEXT_BYTES)]
    *before, head = _pieces(outgoing.text or "", _MAX_HEAD_BYTES) or [""]
    menu: dict[str, Any] = {"list": items}
    if head:
        menu["head_content"] = head
    return [*map(_text, before), {"msgtype": "msgmenu", "msgmenu": menu}]


def msgid_of(outgoing_id: str, index: int) -> str:
    """The id that one of our messages' pieces has at WeCom: the platform takes each but once."""
    msgid = f"{outgoing_id}_{index}"
    if _MSGID.fullmatch(msgid):
        return msgid
    return hashlib.sha256(msgid.encode()).hexdigest()[:32]


def outgoing_of(msgid: str) -> str | None:
    """The id of our message that such an id was made of."""
    match = _MSGID.fullmatch(msgid)
    return match[1] if match else None


def _menu(outgoing: Outgoing) -> list[dict[str, Any]]:
    titles = [str(item.get("title") or item.get("payload") or "") for item in outgoing.buttons]
    sizes = [len(title.encode()) for title in titles]
    if len(titles) > _MAX_ITEMS or any(not 0 < size <= _MAX_ITEM_BYTES for size in sizes):
        return []
    return [
        {
            "type": "click",
            "click": {"id": data_of(outgoing, index, _MAX_ID_BYTES), "content": title},
        }
        for index, title in enumerate(titles)
    ]


def _text(text: str) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": text}}


def _pieces(text: str, most: int) -> list[str]:
    return split_text(text, most, lambda part: len(part.encode()))
