"""WhatsApp's forms of messages: a webhook's into ours, ours into the Cloud API's."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bot.channels.button_data import data_of
from bot.channels.channel import Outgoing
from bot.channels.meta import objects, text_of
from bot.channels.text_fallback import as_text, file_line, split_text

logger = logging.getLogger(__name__)

MAX_TEXT = 4096
MAX_BODY = 1024
MAX_CAPTION = 1024
_MAX_BUTTONS = 3
_MAX_BUTTON_TITLE = 20
_MAX_BUTTON_BYTES = 256
_MAX_ROWS = 10
_MAX_ROW_TITLE = 24
_MAX_ROW_DESCRIPTION = 72
_MAX_ROW_BYTES = 200
# The kinds that come as a media id; a sticker is an image to us.
_MEDIA = {
    "image": "image",
    "sticker": "image",
    "document": "file",
    "audio": "audio",
    "voice": "audio",
    "video": "video",
}
# Said by the platform, not by the customer.
_NOT_SAID = ("reaction", "system", "ephemeral", "request_welcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A customer's message; `pressed` is what the button carried that made it."""

    account: str
    message_id: str
    text: str = ""
    pressed: str | None = None
    attachments: tuple[dict[str, Any], ...] = ()


def read_values(events: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The values of the changes in a request: what has `messages` and `statuses`."""
    for entry in objects(events.get("entry")):
        for change in objects(entry.get("changes")):
            value = change.get("value")
            if change.get("field") == "messages" and isinstance(value, dict):
                yield value


def read_messages(value: dict[str, Any]) -> Iterator[Said]:
    """What customers said; a message that lacks its id or its sender is left out."""
    number = text_of(value.get("metadata"), "phone_number_id")
    for message in objects(value.get("messages")):
        id_, customer = text_of(message, "id"), text_of(message, "from")
        if not (number and id_ and customer):
            logger.warning("whatsapp message not understood", extra={"fields": sorted(message)})
            continue
        said = _said(message, Said(account=f"{number}:{customer}", message_id=id_))
        if said is not None:
            yield said


def render(outgoing: Outgoing, menu: str) -> list[dict[str, Any]]:
    """The Cloud API's messages that make up one of ours; `menu` names the button of a list."""
    custom = (outgoing.custom or {}).get("whatsapp")
    if isinstance(custom, dict):
        return [custom]
    files = [_file(attachment) for attachment in outgoing.attachments]
    interactive = _interactive(outgoing, menu)
    if interactive is None:
        text = as_text(replace(outgoing, image=None, attachments=[]))
        return [*_with_image(outgoing.image, text), *files]
    *before, last = split_text(outgoing.text or "", MAX_BODY) or [menu]
    messages = [_text(piece) for piece in before]
    if _is_address(outgoing.image) and interactive["type"] == "button":
        interactive["header"] = {"type": "image", "image": {"link": outgoing.image}}
    elif outgoing.image:
        messages += _with_image(outgoing.image, "")
    interactive["body"] = {"text": last}
    return [*messages, {"type": "interactive", "interactive": interactive}, *files]


def plain(message: dict[str, Any]) -> dict[str, Any] | None:
    """The same in words, for a picture or file that the platform refused; None for what is text."""
    kind = message.get("type")
    if kind not in ("image", "document"):
        return None
    media = message[kind]
    words = [media.get("caption"), media.get("filename"), media["link"]]
    return _text("\n".join(word for word in words if word))


def _said(message: dict[str, Any], said: Said) -> Said | None:
    kind = text_of(message, "type")
    content = message.get(kind)
    if kind == "text":
        return replace(said, text=text_of(content, "body"))
    if kind == "button":
        return replace(
            said, text=text_of(content, "text"), pressed=text_of(content, "payload", "text")
        )
    if kind == "interactive" and isinstance(content, dict):
        chosen = content.get(text_of(content, "type"))
        return replace(
            said, text=text_of(chosen, "title", "body"), pressed=text_of(chosen, "id") or None
        )
    if kind in _NOT_SAID:
        return None
    attachments = _attachments(kind, message)
    if not attachments:
        # Orders, polls and what is new: without text, the door notes it and says nothing.
        logger.info("whatsapp message of a kind not taken", extra={"kind": kind})
    return replace(said, text=text_of(content, "caption"), attachments=attachments)


def _attachments(kind: str, message: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    content = message.get(kind)
    if kind == "contacts":
        return tuple(_contact(contact) for contact in objects(content))
    if not isinstance(content, dict):
        return ()
    if kind == "location":
        place = f"{content.get('latitude')},{content.get('longitude')}"
        words = [text_of(content, "name"), text_of(content, "address"), place]
        return ({"kind": "location", "text": "\n".join(word for word in words if word)},)
    reference = text_of(content, "id")
    if kind not in _MEDIA or not reference:
        return ()
    content_type = text_of(content, "mime_type").partition(";")[0].strip()
    return (
        {
            "kind": _MEDIA[kind],
            "name": text_of(content, "filename") or kind,
            "content_type": content_type or "application/octet-stream",
            "reference": reference,
        },
    )


def _contact(contact: dict[str, Any]) -> dict[str, Any]:
    name = text_of(contact.get("name"), "formatted_name", "first_name")
    phones = [text_of(phone, "phone", "wa_id") for phone in objects(contact.get("phones"))]
    words = "\n".join(word for word in (name, *phones) if word)
    return {"kind": "contact", "name": name or "contact", "text": words}


def _interactive(outgoing: Outgoing, menu: str) -> dict[str, Any] | None:
    """Reply buttons, or a list; None when there are no buttons or neither can hold them."""
    titles = [str(item.get("title") or item.get("payload") or "") for item in outgoing.buttons]
    if not titles or not all(titles):
        return None
    if len(titles) <= _MAX_BUTTONS and max(map(len, titles)) <= _MAX_BUTTON_TITLE:
        ids = [data_of(outgoing, index, _MAX_BUTTON_BYTES) for index in range(len(titles))]
        if not (_differ(titles) and _differ(ids)):
            return None
        buttons = [
            {"type": "reply", "reply": {"id": id_, "title": title}}
            for id_, title in zip(ids, titles, strict=True)
        ]
        return {"type": "button", "action": {"buttons": buttons}}
    ids = [data_of(outgoing, index, _MAX_ROW_BYTES) for index in range(len(titles))]
    rows = [_row(id_, title) for id_, title in zip(ids, titles, strict=True)]
    short = [row["title"] for row in rows]
    fits = len(rows) <= _MAX_ROWS and max(map(len, titles)) <= _MAX_ROW_DESCRIPTION
    if not (fits and _differ(short) and _differ(ids)):
        return None
    return {
        "type": "list",
        "action": {"button": menu[:_MAX_BUTTON_TITLE], "sections": [{"rows": rows}]},
    }


def _row(id_: str, title: str) -> dict[str, str]:
    if len(title) <= _MAX_ROW_TITLE:
        return {"id": id_, "title": title}
    # The whole title stands below its beginning.
    return {"id": id_, "title": title[: _MAX_ROW_TITLE - 1] + "…", "description": title}


def _with_image(image: str | None, text: str) -> list[dict[str, Any]]:
    """A text and an image, as one message where the text fits under it."""
    if not _is_address(image):
        words = "\n\n".join(part for part in (text, image) if part)
        return [_text(piece) for piece in split_text(words, MAX_TEXT)]
    picture: dict[str, Any] = {"link": image}
    if not text.strip() or len(text) > MAX_CAPTION:
        pieces = [_text(piece) for piece in split_text(text, MAX_TEXT)]
        return [*pieces, {"type": "image", "image": picture}]
    return [{"type": "image", "image": picture | {"caption": text}}]


def _file(attachment: dict[str, Any]) -> dict[str, Any]:
    url = str(attachment.get("url") or "")
    if not _is_address(url):
        return _text(file_line(attachment))
    # Of pictures WhatsApp shows these two; the others go as files.
    if attachment.get("content_type") in ("image/jpeg", "image/png"):
        return {"type": "image", "image": {"link": url}}
    document = {"link": url, "filename": str(attachment.get("name") or "file")}
    return {"type": "document", "document": document}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": {"body": text, "preview_url": False}}


def _is_address(url: str | None) -> bool:
    return (url or "").startswith(("https://", "http://"))


def _differ(values: list[str]) -> bool:
    return len(set(values)) == len(values)
