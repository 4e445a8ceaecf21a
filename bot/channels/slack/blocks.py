"""Writes a message as Slack's blocks: sections of text, a picture, rows of buttons."""

import re
from typing import Any

from bot.channels.button_data import data_of
from bot.channels.channel import Outgoing
from bot.channels.text_fallback import split_text

_MAX_SECTION = 3000
_MAX_SECTIONS = 10
_MAX_TITLE = 75
_MAX_VALUE_BYTES = 2000
_MAX_ROW = 25
_MAX_ALT = 2000
_ADDRESS = re.compile(r"https?://[^\s|<>]*[^\s|<>.,;:!?)\]'\"]")


def messages_of(outgoing: Outgoing) -> list[dict[str, Any]]:
    """The messages, each `text` and `blocks`, that make up one of ours without its files."""
    sections = [
        _section(mrkdwn(piece)) for piece in split_text(outgoing.text or "", _MAX_SECTION, _length)
    ]
    last: list[dict[str, Any]] = []
    if outgoing.image:
        alt = (outgoing.text or "image")[:_MAX_ALT]
        last.append({"type": "image", "image_url": outgoing.image, "alt_text": alt})
    last += _rows(outgoing)
    groups: list[list[dict[str, Any]]] = [
        sections[start : start + _MAX_SECTIONS] for start in range(0, len(sections), _MAX_SECTIONS)
    ]
    if last:
        groups = groups or [[]]
        groups[-1] = groups[-1] + last
    return [{"text": _summary(group, outgoing), "blocks": group} for group in groups]


def without_images(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its pictures as addresses."""
    blocks = [
        _section(mrkdwn(block["image_url"])) if block["type"] == "image" else block
        for block in message["blocks"]
    ]
    return message | {"blocks": blocks}


def mrkdwn(text: str) -> str:
    """A text that Slack shows as it is: nothing in it names a person, a channel or everybody."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _ADDRESS.sub(r"<\g<0>>", text)


def _section(text: str) -> dict[str, Any]:
    # Verbatim: Slack looks for no names and addresses of its own in it.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _length(text: str) -> int:
    return len(mrkdwn(text))


def _rows(outgoing: Outgoing) -> list[dict[str, Any]]:
    buttons = [
        {
            "type": "button",
            "action_id": f"button-{index}",
            "text": {"type": "plain_text", "text": _shortened(_title(button))},
            "value": data_of(outgoing, index, _MAX_VALUE_BYTES),
        }
        for index, button in enumerate(outgoing.buttons)
    ]
    return [
        {"type": "actions", "elements": buttons[start : start + _MAX_ROW]}
        for start in range(0, len(buttons), _MAX_ROW)
    ]


def _summary(blocks: list[dict[str, Any]], outgoing: Outgoing) -> str:
    """What notifications and screen readers say."""
    for block in blocks:
        if block["type"] == "section":
            return str(block["text"]["text"])
    return mrkdwn(", ".join(map(_title, outgoing.buttons)) or outgoing.image or "")


def _title(button: dict[str, Any]) -> str:
    return str(button.get("title") or button.get("payload") or "?")


def _shortened(title: str) -> str:
    return title if len(title) <= _MAX_TITLE else title[: _MAX_TITLE - 1] + "…"
