"""Pushes a conversation to its customer's pages: the namespace /kefu of our own widget."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.errors import RequestError
from bot.push import Hub
from bot.sockets.events import Events
from bot.sockets.feed import LONG_PAGE, Feed, Page
from bot.tokens import Tokens

NAMESPACE = "/kefu"
_PUSHED = ("messages", "status", "queue", "next_after")
_MAX_SEQ = 2**63 - 1
# A page that types tells so this often at most.
_TYPING_EVERY_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Customer:
    """One open page of a customer: follows the conversation until it disconnects."""

    sid: str
    conversation_id: str
    events: "KefuSocket"
    stop: Callable[[], None] = lambda: None
    typed_s: float = 0.0

    async def messages(self, page: Page) -> None:
        """The next messages."""
        await self.events.push(self.sid, "messages", {name: page[name] for name in _PUSHED})
        if len(page["messages"]) >= LONG_PAGE:
            await self.events.taken(self.sid)

    async def standing(self, standing: dict[str, Any]) -> None:
        """`status` and `queue`."""
        await self.events.push(self.sid, "status", standing)

    def typing(self, author: str) -> None:
        """The agent is writing; what the customer does, the customer's pages know."""
        if author == "agent":
            self.events.start(self.events.push(self.sid, "typing", {"author": author}))

    async def gone(self) -> None:
        """The conversation was erased."""
        await self.events.server.disconnect(self.sid, namespace=NAMESPACE)


class KefuSocket(Events):
    """Checks the token, then follows the conversation for the connection."""

    events = frozenset({"typing"})

    def __init__(self, tokens: Tokens, feed: Feed, hub: Hub) -> None:
        super().__init__(NAMESPACE)
        self._tokens = tokens
        self._feed = feed
        self._hub = hub
        self._customers: dict[str, _Customer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Let in who holds the conversation's token: first what it missed, then what comes."""
        conversation_id, after = self._read(auth)
        customer = _Customer(sid=sid, conversation_id=conversation_id, events=self)
        self._customers[sid] = customer
        # Nothing is awaited from here on: the first page follows the confirmation.
        customer.stop = self._feed.follow(conversation_id, customer, after=after)

    async def on_disconnect(self, sid: str, reason: Any) -> None:
        """Stop following."""
        customer = self._customers.pop(sid, None)
        if customer is not None:
            customer.stop()

    async def on_typing(self, sid: str, data: Any) -> None:
        """Tell the agent that the customer is writing."""
        customer = self._customers.get(sid)
        now_s = asyncio.get_running_loop().time()
        if customer is not None and now_s - customer.typed_s >= _TYPING_EVERY_S:
            customer.typed_s = now_s
            self._hub.publish(customer.conversation_id, {"type": "typing", "author": "customer"})

    def start(self, work: Any) -> None:
        """Run something short beside the caller."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _read(self, auth: Any) -> tuple[str, int]:
        """The conversation and the cursor, when the token is right; raises RequestError."""
        if not isinstance(auth, dict):
            raise RequestError(
                401,
                "auth",
                "no token was sent",
                'connect with auth {"conversation_id", "token", "after"}',
            )
        conversation_id, token, after = (
            auth.get(name) for name in ("conversation_id", "token", "after")
        )
        if not isinstance(conversation_id, str) or not isinstance(token, str):
            raise RequestError(
                400, "auth", "conversation_id and token are no strings", "send both as strings"
            )
        self._tokens.check(f"Bearer {token}", conversation_id)
        if after is None:
            after = 0
        if type(after) is not int or not 0 <= after <= _MAX_SEQ:
            raise RequestError(
                400, "after", "it is no sequence number", "send next_after of the last messages"
            )
        return conversation_id, after
