"""Messenger's forms of messages: a webhook's into ours, ours into the Send API's."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bot.channels import meta
from bot.channels.button_data import data_of
from bot.channels.channel import Outgoing
from bot.channels.text_fallback import as_text, file_line, split_text

logger = logging.getLogger(__name__)

MAX_TEXT = 2000
_MAX_REPLIES = 13
_MAX_TITLE = 20
_MAX_PAYLOAD_BYTES = 1000
_KINDS = {"image": "image", "audio": "audio", "video": "video", "file": "file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A customer's message; `pressed` is what the button carried that made it."""

    account: str
    message_id: str
    text: str = ""
    pressed: str | None = None
    attachments: tuple[dict[str, Any], ...] = ()


def read_messages(events: dict[str, Any]) -> Iterator[Said]:
    """What customers said and pressed; echoes, receipts and what another app holds are left out."""
    if events.get("object") != "page":
        return
    for entry in meta.objects(events.get("entry")):
        # What stands in `standby` is for the app that has the conversation now.
        for event in meta.objects(entry.get("messaging")):
            said = _said(event)
            if said is not None:
                yield said


def render(outgoing: Outgoing) -> list[dict[str, Any]]:
    """The Send API's messages that make up one of ours; quick replies are under the last words."""
    custom = (outgoing.custom or {}).get("messenger")
    if isinstance(custom, dict):
        return [custom]
    messages = []
    rest = replace(outgoing, image=None, attachments=[])
    if outgoing.image and _is_address(outgoing.image):
        messages.append(_attachment("image", outgoing.image))
    elif outgoing.image:
        rest = replace(rest, image=outgoing.image)
    for file in outgoing.attachments:
        url = str(file.get("url") or "")
        kind = "image" if file.get("kind") == "image" else "file"
        messages.append(_attachment(kind, url) if _is_address(url) else {"text": file_line(file)})
    replies = _quick_replies(outgoing)
    if replies:
        rest = replace(rest, buttons=[], text=outgoing.text or "…")
    texts = [{"text": piece} for piece in split_text(as_text(rest), MAX_TEXT)]
    if replies:
        texts[-1] |= {"quick_replies": replies}  # type: ignore[dict-item]
    return [*messages, *texts]


def _said(event: dict[str, Any]) -> Said | None:
    page = meta.text_of(event.get("recipient"), "id")
    customer = meta.text_of(event.get("sender"), "id")
    message, postback = event.get("message"), event.get("postback")
    if not (page and customer):
        return None
    account = f"{page}:{customer}"
    if isinstance(postback, dict):
        # Pages of an old version get no id: the moment is one then.
        id_ = meta.text_of(postback, "mid") or f"postback:{event.get('timestamp')}"
        return Said(
            account=account,
            message_id=id_,
            text=meta.text_of(postback, "title"),
            pressed=meta.text_of(postback, "payload") or None,
        )
    if not isinstance(message, dict) or message.get("is_echo") or message.get("is_deleted"):
        return None
    id_ = meta.text_of(message, "mid")
    if not id_:
        logger.warning("messenger message not understood", extra={"fields": sorted(message)})
        return None
    found = [_attached(item) for item in meta.objects(message.get("attachments"))]
    return Said(
        account=account,
        message_id=id_,
        text=meta.text_of(message, "text"),
        pressed=meta.text_of(message.get("quick_reply"), "payload") or None,
        attachments=tuple(item for item in found if item is not None),
    )


def _attached(attachment: dict[str, Any]) -> dict[str, Any] | None:
    kind, payload = meta.text_of(attachment, "type"), attachment.get("payload")
    url, title = meta.text_of(payload, "url"), meta.text_of(payload, "title")
    if kind == "location" and isinstance(payload, dict):
        at = payload.get("coordinates")
        at = at if isinstance(at, dict) else {}
        words = [meta.text_of(attachment, "title"), f"{at.get('lat')},{at.get('long')}"]
        return {"kind": "location", "text": "\n".join(word for word in words if word)}
    if kind in _KINDS and url:
        return {"kind": _KINDS[kind], "name": title or kind, "reference": url}
    if url or title:
        # A shared post or page: its address is all that it says.
        return {"kind": "file", "name": title or kind, "text": url}
    return None


def _quick_replies(outgoing: Outgoing) -> list[dict[str, str]]:
    titles = [str(item.get("title") or item.get("payload") or "") for item in outgoing.buttons]
    if len(titles) > _MAX_REPLIES or any(not 0 < len(title) <= _MAX_TITLE for title in titles):
        return []
    return [
        {
            "content_type": "text",
            "title": title,
            "payload": data_of(outgoing, index, _MAX_PAYLOAD_BYTES),
        }
        for index, title in enumerate(titles)
    ]


def _attachment(kind: str, url: str) -> dict[str, Any]:
    return {"attachment": {"type": kind, "payload": {"url": url, "is_reusable": False}}}


def _is_address(url: str) -> bool:
    return url.startswith(("https://", "http://"))
