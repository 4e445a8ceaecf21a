"""Pushes to agents what changes: the queue, conversations, and all of those that they watch."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web

from bot.agents import Access, Agent, Agents
from bot.errors import RequestError, StorageError
from bot.handoff.desk import Desk
from bot.log.journal import Journal
from bot.push import AGENTS, Event, topic_of
from bot.sockets.events import Events
from bot.sockets.feed import Feed, Page

NAMESPACE = "/agent"
_PUSHED = ("conversation_id", "messages", "status", "queue", "next_after")
_MAX_SEQ = 2**63 - 1
_MAX_WATCHED = 50
# Changes within this time are told together; beyond so many only that the list has changed.
_GATHER_S = 0.2
_MOST_TOLD = 40
_TYPING_EVERY_S = 1.0
# An open socket's token is looked at again so often, when something happens.
_RECHECK_S = 30.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSocketParts:
    """What the namespace works with."""

    journal: Journal
    desk: Desk
    agents: Agents
    feed: Feed
    # Who has the session that a request of the console's own pages carries.
    visitor: Callable[[web.Request], Awaitable[Access | None]]


@dataclass(slots=True, kw_only=True)
class _Console:
    """One open console of an agent."""

    agent: Agent
    # Looks again whether the token or the session is still good.
    identify: Callable[[], Awaitable[Agent | None]]
    checked_s: float
    unwatch: Callable[[], None] = lambda: None
    watched: dict[str, Callable[[], None]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    gathering: asyncio.TimerHandle | None = None
    typed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watcher:
    """Follows one conversation for one console."""

    sid: str
    conversation_id: str
    socket: "AgentSocket"

    async def messages(self, page: Page) -> None:
        """The next messages, to who still may read them."""
        if await self.socket.admits(self.sid):
            await self.socket.push(self.sid, "messages", {name: page[name] for name in _PUSHED})

    async def standing(self, standing: dict[str, Any]) -> None:
        """`status` and `queue`."""
        where = {"conversation_id": self.conversation_id}
        await self.socket.push(self.sid, "status", where | standing)

    def typing(self, author: str) -> None:
        """The customer is writing."""
        if author == "customer":
            shown = {"conversation_id": self.conversation_id, "author": author}
            self.socket.start(self.socket.push(self.sid, "typing", shown))

    async def gone(self) -> None:
        """The conversation was erased."""
        await self.socket.push(self.sid, "gone", {"conversation_id": self.conversation_id})


class AgentSocket(Events):
    """Checks the token, tells of every change, and follows what an agent watches."""

    events = frozenset({"watch", "unwatch", "typing"})

    def __init__(self, parts: AgentSocketParts) -> None:
        super().__init__(NAMESPACE)
        self._journal = parts.journal
        self._desk = parts.desk
        self._agents = parts.agents
        self._feed = parts.feed
        self._visitor = parts.visitor
        self._open: dict[str, _Console] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Let in who holds an agent's token, or a session of the console."""
        token = auth.get("token") if isinstance(auth, dict) else None
        try:
            if isinstance(token, str):
                agent = await self._agents.authenticate(f"Bearer {token}")
                access = Access(agent=agent, identify=partial(self._agents.identify, token))
            else:
                found = await self._visitor(environ["aiohttp.request"])
                if found is None:
                    raise RequestError(
                        401,
                        "auth",
                        "neither a token nor a session was sent",
                        'connect with auth {"token": an agent\'s token}, or sign in to the console',
                    )
                access = found
        except (StorageError, TimeoutError):
            raise RequestError(
                503, "gateway", "the token could not be checked", "connect again in a moment"
            ) from None
        console = _Console(
            agent=access.agent,
            identify=access.identify,
            checked_s=asyncio.get_running_loop().time(),
        )
        self._open[sid] = console
        hub = self._journal.hub
        unwatch = hub.watch(AGENTS, lambda topic, event: self._hear(sid, topic, event))
        unwatch_own = hub.watch(
            topic_of(access.agent.id), lambda _, event: self._hear_own(sid, event)
        )

        def stop() -> None:
            unwatch()
            unwatch_own()

        console.unwatch = stop

    async def on_disconnect(self, sid: str, reason: Any) -> None:
        """Stop following."""
        console = self._open.pop(sid, None)
        if console is None:
            return
        console.unwatch()
        for stop in console.watched.values():
            stop()
        if console.gathering is not None:
            console.gathering.cancel()

    async def on_watch(self, sid: str, data: Any) -> dict[str, Any]:
        """Follow a conversation: `{"conversation_id", "after"?}`; it is on record who looks."""
        console = self._open.get(sid)
        conversation_id = _conversation_id(data)
        after = data.get("after", 0) if isinstance(data, dict) else None
        if console is None or conversation_id is None or type(after) is not int:
            return _refused(400, "send conversation_id as a string and after as a number")
        if not 0 <= after <= _MAX_SEQ:
            return _refused(400, "send next_after of the last messages as after")
        if conversation_id not in console.watched and len(console.watched) >= _MAX_WATCHED:
            return _refused(429, f"at most {_MAX_WATCHED} at once: unwatch some")
        try:
            # Whoever lost access while nothing happened is to see nothing new.
            if await console.identify() is None:
                self.start(self.server.disconnect(sid, namespace=NAMESPACE))
                return _refused(401, "your access has ended: sign in again")
            if await self._journal.conversation(conversation_id) is None:
                return _refused(404, "there is no such conversation")
            await self._journal.audit(console.agent.id, "read_transcript", conversation_id)
        except (StorageError, TimeoutError):
            return _refused(503, "the database does not answer: try again")
        if sid not in self._open:  # gone meanwhile
            return {}
        if earlier := console.watched.pop(conversation_id, None):
            earlier()
        watcher = _Watcher(sid=sid, conversation_id=conversation_id, socket=self)
        stop = self._feed.follow(conversation_id, watcher, after=after)
        unwatch = self._journal.hub.watch(
            conversation_id, lambda topic, event: self._hear_notes(sid, topic, event)
        )

        def leave() -> None:
            stop()
            unwatch()

        console.watched[conversation_id] = leave
        return {"watching": conversation_id}

    async def on_unwatch(self, sid: str, data: Any) -> None:
        """Follow a conversation no longer: `{"conversation_id"}`."""
        console = self._open.get(sid)
        stop = console.watched.pop(_conversation_id(data) or "", None) if console else None
        if stop is not None:
            stop()

    async def on_typing(self, sid: str, data: Any) -> None:
        """Tell the customer of `{"conversation_id"}` that an answer is on its way."""
        console = self._open.get(sid)
        conversation_id = _conversation_id(data)
        now_s = asyncio.get_running_loop().time()
        if console is None or conversation_id is None or now_s - console.typed_s < _TYPING_EVERY_S:
            return
        console.typed_s = now_s
        try:
            await self._desk.typing(conversation_id, console.agent)
        except (RequestError, StorageError, TimeoutError) as error:
            logger.debug("typing not shown", extra={"why": type(error).__name__})

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something short beside the caller."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self, sid: str, topic: str, event: Event) -> None:
        console = self._open.get(sid)
        if console is None or event["type"] not in ("queue", "conversation"):
            return
        console.changed.add(str(event["id"]) if event["type"] == "conversation" else "")
        if console.gathering is None:
            loop = asyncio.get_running_loop()
            console.gathering = loop.call_later(_GATHER_S, lambda: self.start(self._tell(sid)))

    def _hear_own(self, sid: str, event: Event) -> None:
        if event["type"] == "assigned":
            shown = {"conversation_id": event["id"], "by": event["by"]}
            self.start(self.push(sid, "assigned", shown))

    def _hear_notes(self, sid: str, conversation_id: str, event: Event) -> None:
        if event["type"] == "notes":
            self.start(self.push(sid, "notes", {"conversation_id": conversation_id}))

    async def _tell(self, sid: str) -> None:
        console = self._open.get(sid)
        if console is None:
            return
        changed, console.changed, console.gathering = console.changed, set(), None
        if not await self.admits(sid):
            return
        if "" in changed or len(changed) > _MOST_TOLD:
            await self.push(sid, "queue", {})
        if len(changed) <= _MOST_TOLD:
            for conversation_id in sorted(changed - {""}):
                await self.push(sid, "conversation", {"id": conversation_id})

    async def admits(self, sid: str) -> bool:
        """Whether the access behind a socket is still good; a socket without one is closed."""
        console = self._open.get(sid)
        now_s = asyncio.get_running_loop().time()
        if console is None or now_s - console.checked_s < _RECHECK_S:
            return console is not None
        console.checked_s = now_s
        try:
            if await console.identify() is not None:
                return True
        except (StorageError, TimeoutError):
            return True
        await self.server.disconnect(sid, namespace=NAMESPACE)
        return False


def _conversation_id(data: Any) -> str | None:
    value = data.get("conversation_id") if isinstance(data, dict) else None
    return value if isinstance(value, str) and value.isprintable() else None


def _refused(status: int, message: str) -> dict[str, Any]:
    return {"error": {"status": status, "message": message}}
