"""Tells open sockets that there is something new, in this gateway and in the others."""

import asyncio
import json
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, text

from bot.log import database

logger = logging.getLogger(__name__)

Event = dict[str, Any]
Watcher = Callable[[str, Event], None]
# Whoever watches this topic hears of every conversation.
AGENTS = "agents"
MESSAGES: Event = {"type": "messages"}
STATUS: Event = {"type": "status"}
QUEUE: Event = {"type": "queue"}
# Agents alone hear of notes: no customer's socket asks for them.
NOTES: Event = {"type": "notes"}
_PG_CHANNEL = "kefu"
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")
_RECONNECT_S = 1.0
_POLL_S = 1.0


def topic_of(agent_id: str) -> str:
    """What an agent's own consoles watch."""
    return f"agent:{agent_id}"


def told(agent_id: str, conversation_id: str, by: str) -> tuple[str, Event]:
    """For an agent: a colleague of this name has left them a conversation."""
    return topic_of(agent_id), {"type": "assigned", "id": conversation_id, "by": by}


class Hub:
    """Topics and who watches them. A topic is a conversation's id, or AGENTS.

    An event says that something changed, not what: who hears of it reads the log. So an event that
    comes twice or late does no harm, and after a lost connection everyone is told to read.
    """

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}
        self._origin = secrets.token_hex(4)
        self._send: Callable[[Sequence[tuple[str, Event]]], Any] | None = None

    def watch(self, topic: str, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher(topic, event)` on the loop for each event; returns how to stop it."""
        self._watchers.setdefault(topic, set()).add(watcher)

        def unwatch() -> None:
            watchers = self._watchers.get(topic, set())
            watchers.discard(watcher)
            if not watchers:
                self._watchers.pop(topic, None)

        return unwatch

    def publish(self, topic: str, event: Event) -> None:
        """Tell everyone, in every gateway, of something that is kept nowhere (typing)."""
        self.deliver(topic, event)
        if self._send is not None:
            self._send([(topic, event)])

    def deliver(self, topic: str, event: Event) -> None:
        """Tell those who watch in this gateway."""
        self._tell(topic, topic, event)
        if topic != AGENTS and event["type"] in ("messages", "status"):
            self._tell(AGENTS, topic, {"type": "conversation", "id": topic})

    def relay_by(self, send: Callable[[Sequence[tuple[str, Event]]], Any]) -> None:
        """Hand what is published to the other gateways as well."""
        self._send = send

    def announce(self, connection: Connection, events: Sequence[tuple[str, Event]]) -> None:
        """Tell the other gateways of events when the connection's transaction commits."""
        for topic, event in events:
            payload = json.dumps([self._origin, topic, event], separators=(",", ":"))
            connection.execute(_NOTIFY, {"channel": _PG_CHANNEL, "payload": payload})

    def hear(self, payload: str) -> None:
        """Take in what a gateway announced."""
        try:
            origin, topic, event = json.loads(payload)
            is_news = origin != self._origin and isinstance(event["type"], str)
        except (ValueError, TypeError, KeyError):
            # Someone else uses the same name on the server.
            logger.warning("announcement not understood")
            return
        if is_news:
            self.deliver(topic, event)

    def catch_up(self) -> None:
        """Have everyone read again: events may have been missed."""
        for topic in list(self._watchers):
            if topic == AGENTS:
                self._tell(AGENTS, AGENTS, QUEUE)
            else:
                self._tell(topic, topic, MESSAGES)
                self._tell(topic, topic, STATUS)

    def _tell(self, watched: str, topic: str, event: Event) -> None:
        for watcher in list(self._watchers.get(watched, ())):
            try:
                watcher(topic, event)
            except Exception:
                logger.exception("watcher failed", extra={"topic": topic})


class Listener:
    """Hears what other gateways on the same PostgreSQL announce, in a thread of its own."""

    def __init__(self, url: str, hub: Hub) -> None:
        self._conninfo = database.libpq_address(url)
        self._hub = hub
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Listen; events come in on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="push-listener", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        import psycopg

        while not self._stop.is_set():
            try:
                with psycopg.connect(
                    self._conninfo, autocommit=True, **database.PATIENCE
                ) as server:
                    server.execute(f"LISTEN {_PG_CHANNEL}")
                    # What was said before, nobody here has heard.
                    self._on_loop(self._hub.catch_up)
                    while not self._stop.is_set():
                        for notice in server.notifies(timeout=_POLL_S):
                            self._on_loop(self._hub.hear, notice.payload)
            except Exception as error:
                # Whatever it is, the thread must go on.
                logger.warning("push connection lost", extra={"error": str(error)})
                self._stop.wait(_RECONNECT_S)

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)
