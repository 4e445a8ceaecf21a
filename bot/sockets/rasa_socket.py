"""Rasa's own Socket.IO protocol, so that existing widgets change only the address."""

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web

from bot.door import Door, Received
from bot.errors import RequestError, StorageError
from bot.log.journal import Journal
from bot.log.pages import conversation_of
from bot.sockets.events import Events
from bot.sockets.feed import LONG_PAGE, Feed, Page
from bot.sockets.rasa_sessions import RasaSessions, Session

CHANNEL = "socketio"
_MAX_SEEN = 20_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RasaParts:
    """What the protocol works with."""

    journal: Journal
    door: Door
    feed: Feed
    sessions: RasaSessions


@dataclass(slots=True, kw_only=True)
class _Visitor:
    """One connection: who it is, and once it has a session, the conversation it follows."""

    sid: str
    events: "RasaSocket"
    customer_id: str | None
    # The one that opened the connection.
    request: web.Request
    # The gateway as the page sees it, for addresses of files.
    base_url: str
    session: Session | None = None
    stop: Callable[[], None] | None = field(default=None)

    async def messages(self, page: Page) -> None:
        """What the bot, an agent or the system said, in Rasa's form."""
        assert self.session is not None
        for number, message in enumerate(page["messages"], start=1):
            if message["direction"] == "out":
                for uttered in as_uttered(message, self.base_url):
                    await self.events.push(self.sid, "bot_uttered", uttered)
            if number % LONG_PAGE == 0:
                await self.events.taken(self.sid)
        self.events.note(self.session.account, page["next_after"])

    async def standing(self, standing: dict[str, Any]) -> None:
        """The protocol has no word for it."""

    def typing(self, author: str) -> None:
        """Nor for this."""

    async def gone(self) -> None:
        """Erased: the next message starts anew."""
        self.leave()

    def leave(self) -> None:
        """Follow nothing."""
        if self.stop is not None:
            self.stop()
            self.stop = None


class RasaSocket(Events):
    """The default namespace: `session_request` and `user_uttered` in, the rest out.

    A session id of ours is signed, so it opens one conversation and cannot be guessed. Any other is
    answered by a new one in `session_confirm`, which these widgets keep.
    """

    events = frozenset({"session_request", "user_uttered"})

    def __init__(self, parts: RasaParts) -> None:
        super().__init__("/")
        self._parts = parts
        self._visitors: dict[str, _Visitor] = {}
        # account -> the last message pushed, for who connects again.
        self._seen: OrderedDict[str, int] = OrderedDict()

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Let everyone in, as who their JWT says; a wrong one is refused."""
        request = environ["aiohttp.request"]
        self._visitors[sid] = _Visitor(
            sid=sid,
            events=self,
            customer_id=self._parts.sessions.customer_of(auth),
            request=request,
            base_url=self._parts.sessions.base_url(request),
        )

    async def on_disconnect(self, sid: str, reason: Any) -> None:
        """Stop following."""
        visitor = self._visitors.pop(sid, None)
        if visitor is not None:
            visitor.leave()

    async def on_session_request(self, sid: str, data: Any) -> None:
        """Confirm the session asked for, if it is one of ours, or else a new one."""
        visitor = self._visitors.get(sid)
        if visitor is not None:
            await self._open(visitor, _session_id(data))

    async def on_user_uttered(self, sid: str, data: Any) -> None:
        """Take a message in; the answers come as `bot_uttered` when they are there."""
        visitor = self._visitors.get(sid)
        if visitor is None:
            return
        session = visitor.session
        named = _session_id(data)
        text = data.get("message") if isinstance(data, dict) else None
        try:
            if session is None or (named is not None and named != session.id):
                session = await self._open(visitor, named)
            if not isinstance(text, str):
                return
            await self._take(visitor, session, text)
        except RequestError as refusal:
            await self._say_no(sid, refusal.message, refusal.remedy)
        except (StorageError, TimeoutError) as error:
            logger.error("message not stored", extra={"channel": CHANNEL, "error": str(error)})
            await self._say_no(sid, "the message could not be stored", "send it again")

    def note(self, account: str, seq: int) -> None:
        """Remember how far an account was served."""
        self._seen[account] = max(seq, self._seen.pop(account, 0))
        if len(self._seen) > _MAX_SEEN:
            self._seen.popitem(last=False)

    async def _open(self, visitor: _Visitor, named: str | None) -> Session:
        visitor.leave()
        session = self._parts.sessions.open(named, visitor.customer_id)
        visitor.session = session
        await self.push(visitor.sid, "session_confirm", session.id)
        found = await self._conversation(session)
        if found is not None and visitor.session is session:
            conversation_id, last_seq = found
            # What it was given before, the widget keeps itself.
            after = self._seen.get(session.account, last_seq)
            self._follow(visitor, conversation_id, after=after)
        return session

    async def _take(self, visitor: _Visitor, session: Session, text: str) -> None:
        parts = self._parts
        parts.sessions.count(visitor.request, session, opens=visitor.stop is None)
        if visitor.customer_id is not None and visitor.stop is None:
            await parts.journal.open_conversation(
                CHANNEL, session.account, customer_id=visitor.customer_id
            )
        # The protocol has no message id: every event is a message of its own.
        received = Received(account=session.account, message_id=secrets.token_hex(16), text=text)
        await parts.door.receive(CHANNEL, received)
        if visitor.stop is None and visitor.session is session:
            found = await self._conversation(session)
            # The conversation is new: all that the bot ever said in it is still to be given.
            if found is not None and self._visitors.get(visitor.sid) is visitor:
                self._follow(visitor, found[0], after=0)

    def _follow(self, visitor: _Visitor, conversation_id: str, *, after: int) -> None:
        visitor.leave()
        if self._visitors.get(visitor.sid) is visitor:
            visitor.stop = self._parts.feed.follow(conversation_id, visitor, after=after)

    async def _conversation(self, session: Session) -> tuple[str, int] | None:
        return await self._parts.journal.read(
            partial(conversation_of, channel=CHANNEL, account=session.account)
        )

    async def _say_no(self, sid: str, message: str, remedy: str) -> None:
        await self.push(sid, "bot_uttered", {"text": f"Sorry, {message}. Please {remedy}."})


def as_uttered(message: dict[str, Any], base_url: str) -> list[dict[str, Any]]:
    """A message as these widgets expect it: paragraphs apart, buttons under the last of them."""
    parts = [part for part in (message["text"] or "").strip().split("\n\n") if part]
    uttered: list[dict[str, Any]] = [{"text": part} for part in parts]
    if message["buttons"]:
        if not uttered:
            uttered.append({"text": ""})
        uttered[-1]["quick_replies"] = [
            {"content_type": "text", "title": button["title"], "payload": button["payload"]}
            for button in message["buttons"]
            if "title" in button and "payload" in button
        ]
    if "image" in message:
        uttered.append(_image(message["image"]))
    for attachment in message["attachments"]:
        address = attachment.get("url")
        if address is None:
            continue
        address = base_url + address if address.startswith("/") else address
        is_image = attachment["kind"] == "image"
        uttered.append(
            _image(address) if is_image else {"text": f"{attachment.get('name', '')} {address}"}
        )
    if "attachment" in message:
        uttered.append({"attachment": message["attachment"]})
    custom = message.get("custom")
    if custom is not None:
        # Rasa sends what is under `data`, where there is such a key.
        data = custom.get("data", custom) if isinstance(custom, dict) else custom
        uttered.append(data if isinstance(data, dict) else {"custom": data})
    return uttered


def _image(address: str) -> dict[str, Any]:
    return {"attachment": {"type": "image", "payload": {"src": address}}}


def _session_id(data: Any) -> str | None:
    named = data.get("session_id") if isinstance(data, dict) else None
    return named if isinstance(named, str) else None
