"""Reads Slack's events and presses: which are a customer's, and what they say."""

import re
from dataclasses import dataclass
from typing import Any

from bot.door import Received

# A file that was shared or a reply that was also sent to the channel is a message like any other;
# the other subtypes are edits, deletions, joins and what bots write.
_CUSTOMER_SUBTYPES = (None, "file_share", "thread_broadcast")
_ESCAPED = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_LEADING_MENTION = re.compile(r"\s*<@[A-Z0-9]+(?:\|[^<>]*)?>[\s,:]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a customer is: a direct message, or a thread of a channel."""

    channel: str
    user: str
    # The thread's first message; empty for a direct message outside of threads.
    thread: str = ""

    @property
    def account(self) -> str:
        """The address as the log keeps it."""
        return f"{self.channel}:{self.thread}:{self.user}"

    @classmethod
    def of(cls, account: str) -> "Address":
        """The address that an account holds."""
        channel, thread, user = account.split(":")
        return cls(channel=channel, thread=thread, user=user)


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A button that was pressed."""

    address: Address
    id: str
    data: str
    title: str


def read_event(fields: dict[str, Any], nonce: str) -> Received | None:
    """The message in an `event_callback`; None when it is not a customer's to the bot."""
    event = fields.get("event") or {}
    user, channel = event.get("user"), event.get("channel")
    if not user or not channel or event.get("bot_id") or user in _own_ids(fields):
        return None
    if event.get("subtype") not in _CUSTOMER_SUBTYPES:
        return None
    text = str(event.get("text") or "")
    thread = str(event.get("thread_ts") or "")
    if event.get("type") == "app_mention":
        # The bot answers in a thread: below the mention, or in the one the mention was in.
        thread = thread or str(event.get("ts") or "")
        text = _LEADING_MENTION.sub("", text, count=1)
    elif event.get("type") != "message" or event.get("channel_type") != "im":
        return None
    text = plain(text).strip()
    attachments = tuple(_file(file) for file in event.get("files") or () if _is_hosted(file))
    if not text and not attachments:
        return None
    return Received(
        account=Address(channel=channel, user=user, thread=thread).account,
        # The same in each of Slack's tries.
        message_id=str(fields.get("event_id") or f"{channel}:{event.get('ts')}"),
        text=text,
        attachments=attachments,
        nonce=nonce,
    )


def read_press(payload: dict[str, Any]) -> Press | None:
    """The button in a `block_actions` payload; None for any other element."""
    actions = payload.get("actions") or [{}]
    message, container = payload.get("message") or {}, payload.get("container") or {}
    channel = (payload.get("channel") or {}).get("id") or container.get("channel_id")
    user = (payload.get("user") or {}).get("id")
    action = actions[0]
    if payload.get("type") != "block_actions" or action.get("type") != "button":
        return None
    if not channel or not user:
        return None
    thread = message.get("thread_ts") or ""
    if thread == message.get("ts"):
        # The bot's own message heads a thread that somebody began below it.
        thread = ""
    return Press(
        address=Address(channel=channel, user=user, thread=thread),
        id=f"press:{container.get('message_ts') or message.get('ts')}:{action.get('action_ts')}",
        data=str(action.get("value") or ""),
        title=str((action.get("text") or {}).get("text") or ""),
    )


def plain(text: str) -> str:
    """Slack's markup as the customer sees it: links and mentions written out, entities undone."""
    text = _ESCAPED.sub(_written_out, text)
    # `&` last: "&amp;lt;" is a customer's "&lt;".
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _written_out(match: re.Match[str]) -> str:
    target, label = match[1], match[2]
    if target.startswith(("@", "#", "!")):
        shown = (label or target[1:]).lstrip("@#")
        return ("#" if target.startswith("#") else "@") + shown
    if target.startswith(("mailto:", "tel:")):
        return label or target.partition(":")[2]
    # Slack makes a link of "shop.example": what was written is the label.
    if not label or label in target:
        return label or target
    return f"{label} ({target})"


def _own_ids(fields: dict[str, Any]) -> set[str]:
    return {item.get("user_id") for item in fields.get("authorizations") or ()} - {None}


def _is_hosted(file: dict[str, Any]) -> bool:
    """Whether Slack itself has the file: not a link to elsewhere, not deleted, not hidden."""
    return bool(file.get("url_private")) and file.get("mode") not in (
        "external",
        "tombstone",
        "hidden_by_limit",
    )


def _file(file: dict[str, Any]) -> dict[str, Any]:
    content_type = str(file.get("mimetype") or "application/octet-stream")
    kind = content_type.partition("/")[0]
    found = {
        "kind": kind if kind in ("image", "audio", "video") else "file",
        "name": str(file.get("name") or file.get("id") or "file"),
        "content_type": content_type,
        "reference": file.get("url_private_download") or file["url_private"],
    }
    if isinstance(file.get("size"), int):
        found["size"] = file["size"]
    return found
