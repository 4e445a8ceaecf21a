"""What a messaging platform's file implements, and what it is given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from bot.door import Door
from bot.errors import KefuError, SettingError
from bot.http.limits import Limits
from bot.log.journal import Journal
from bot.log.records import Author
from bot.world import World
from nlu.setting_files import FileSettings

__all__ = [
    "Channel",
    "ChannelSettings",
    "Outgoing",
    "SendLater",
    "SendRefused",
    "SettingError",
    "Upload",
    "Wiring",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message for a customer; `id` stays the same however often it is tried."""

    id: str
    conversation_id: str
    # The customer's address, as the channel wrote it when the message came in.
    account: str
    seq: int
    text: str | None = None
    # [{"title", "payload"}]
    buttons: list[dict[str, Any]] = field(default_factory=list)
    image: str | None = None
    # [{"kind", "name", "content_type", "size", "url"}]; the address is signed and expires.
    attachments: list[dict[str, Any]] = field(default_factory=list)
    custom: dict[str, Any] | None = None
    author: Author = "bot"
    agent_name: str | None = None
    last_inbound_at: datetime | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file as it came from a platform."""

    name: str
    content_type: str
    data: bytes


class SendLater(KefuError):
    """The platform did not take it now; `retry_after_s` is its own wish, if it has one."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"not sent now: {reason}; it is tried again")
        self.reason = reason
        self.retry_after_s = retry_after_s


class SendRefused(KefuError):
    """The platform will never take it: it goes to the dead letters."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not sent: {reason}; see `kefu outbox list`")
        self.reason = reason


class Channel(Protocol):
    """A platform; `start` and `close` may be left out."""

    name: str
    # Buttons are shown as numbered lines: a customer's "2" is the second button.
    numbered: bool

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the platform's webhook into the gateway's router."""
        ...

    async def send(self, outgoing: Outgoing) -> None:
        """Give a message to the platform; raises SendLater or SendRefused."""
        ...

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        """Download what a customer attached; raises SendLater or SendRefused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What every channel is given."""

    door: Door
    session: aiohttp.ClientSession
    world: World
    limits: Limits
    journal: Journal
    # Where the gateway is reached from outside (KEFU_PUBLIC_URL), without a slash at the end.
    public_url: str | None
    # The signed address of a stored file, by its id; without a public address it is a path.
    file_url: Callable[[str], str]


class ChannelSettings(FileSettings):
    """Base of the channels' settings; a subclass sets `env_prefix` and describes every field."""
