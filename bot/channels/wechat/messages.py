"""WeChat's forms of messages: its XML into ours, pictures of ours into what it takes."""

import logging
from collections.abc import Mapping
from typing import Any

from bot.door import Received

logger = logging.getLogger(__name__)

MAX_TEXT_BYTES = 2048
_MEDIA = {"image": "image", "voice": "audio", "video": "video", "shortvideo": "video"}
_ENDINGS = {"image": "jpg", "audio": "amr", "video": "mp4"}


def read_message(fields: Mapping[str, str], subscribe_text: str) -> Received | None:
    """The customer's message; None for what asks for no answer.

    A message has its `MsgId`; an event has none and is known by its moment and what it is.
    """
    account, kind = fields.get("FromUserName", ""), fields.get("MsgType", "").lower()
    if not account:
        logger.warning("wechat message without a sender", extra={"kind": kind})
        return None
    if kind == "event":
        return _event(fields, account, subscribe_text)
    id_ = fields.get("MsgId") or f"{fields.get('CreateTime', '')}:{kind}"
    if kind == "text":
        return Received(account=account, message_id=id_, text=fields.get("Content", ""))
    if kind == "link":
        words = [fields.get(name, "") for name in ("Title", "Description", "Url")]
        text = "\n".join(word for word in words if word)
        return Received(account=account, message_id=id_, text=text)
    attachments = _attachments(fields, kind)
    if not attachments:
        logger.info("wechat message of a kind not taken", extra={"kind": kind})
        return None
    # What WeChat heard in a voice message stands beside it, where the account has that.
    said = fields.get("Recognition", "").strip()
    return Received(account=account, message_id=id_, text=said, attachments=attachments)


def _event(fields: Mapping[str, str], account: str, subscribe_text: str) -> Received | None:
    event, key = fields.get("Event", ""), fields.get("EventKey", "")
    said = {"subscribe": subscribe_text, "click": key}.get(event.lower(), "")
    if not said:
        # A link opened (VIEW), a place reported, an account no longer followed: no question.
        return None
    id_ = f"event:{fields.get('CreateTime', '')}:{event}:{key}"
    return Received(account=account, message_id=id_, text=said)


def _attachments(fields: Mapping[str, str], kind: str) -> tuple[dict[str, Any], ...]:
    if kind == "location":
        place = f"{fields.get('Location_X')},{fields.get('Location_Y')}"
        words = [fields.get("Label", ""), place]
        return ({"kind": "location", "text": "\n".join(word for word in words if word)},)
    reference = fields.get("MediaId", "")
    if kind not in _MEDIA or not reference:
        return ()
    ours = _MEDIA[kind]
    name = f"{ours}.{fields.get('Format') or _ENDINGS[ours]}"
    return ({"kind": ours, "name": name, "reference": reference},)
