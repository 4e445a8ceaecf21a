"""Brings what is new in a conversation to whoever follows it: in order, without gap or double."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.errors import StorageError
from bot.http.shown import View
from bot.push import Event, Hub
from bot.world import World

logger = logging.getLogger(__name__)

Page = dict[str, Any]
_PAGE = 100
# A page of so many messages is catching up: the next one waits until it was taken.
LONG_PAGE = 20
_RETRY_S = 1.0


class Listener(Protocol):
    """Who follows a conversation. A call that cannot deliver stops the following itself."""

    async def messages(self, page: Page) -> None:
        """What came after the last page; the first page of all may be empty.

        For a page of LONG_PAGE messages or more it may return late: when the listener has room
        again. The next page comes after that.
        """
        ...

    async def standing(self, standing: dict[str, Any]) -> None:
        """`status` and `queue`, when they changed."""
        ...

    def typing(self, author: str) -> None:
        """Someone (`agent`, `customer`) is writing; called on the loop, must not block."""
        ...

    async def gone(self) -> None:
        """The conversation was erased: nothing more will come."""
        ...


@dataclass(eq=False, slots=True, kw_only=True)
class Follower:
    """One listener and the sequence number of the last message that it was given."""

    listener: Listener
    cursor: int
    greeted: bool = False
    # Under way while a long page is being taken.
    taking: asyncio.Task[None] | None = None


@dataclass(eq=False, slots=True, kw_only=True)
class _Room:
    """The followers of one conversation, and what is still to be read for them."""

    followers: set[Follower] = field(default_factory=set)
    unwatch: Callable[[], None]
    read_messages: bool = True
    read_standing: bool = False
    task: asyncio.Task[None] | None = None


class Feed:
    """Follows conversations: one reading at a time for all followers of a conversation.

    The hub only says that there is something; what it is, is read from the log after each
    follower's cursor. So an event that comes late or twice changes nothing, and events that come
    while a reading is under way share the next one.
    """

    def __init__(self, view: View, hub: Hub, world: World) -> None:
        self._view = view
        self._hub = hub
        self._world = world
        self._rooms: dict[str, _Room] = {}

    def follow(self, conversation_id: str, listener: Listener, *, after: int) -> Callable[[], None]:
        """Give the listener all that comes after `after`, from now on; returns how to stop it."""
        room = self._rooms.get(conversation_id)
        if room is None:
            unwatch = self._hub.watch(conversation_id, self._hear)
            room = self._rooms[conversation_id] = _Room(unwatch=unwatch)
        follower = Follower(listener=listener, cursor=after)
        room.followers.add(follower)
        self._wake(conversation_id, room, messages=True)

        def stop() -> None:
            room.followers.discard(follower)
            if not room.followers and self._rooms.get(conversation_id) is room:
                del self._rooms[conversation_id]
                room.unwatch()

        return stop

    async def close(self) -> None:
        """Stop reading."""
        rooms = list(self._rooms.values())
        tasks = [room.task for room in rooms if room.task is not None]
        tasks += [one.taking for room in rooms for one in room.followers if one.taking is not None]
        for room in rooms:
            room.unwatch()
            room.followers.clear()
        self._rooms.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _hear(self, conversation_id: str, event: Event) -> None:
        room = self._rooms.get(conversation_id)
        if room is None:
            return
        if event["type"] == "messages":
            self._wake(conversation_id, room, messages=True)
        elif event["type"] == "status":
            self._wake(conversation_id, room, standing=True)
        elif event["type"] == "typing":
            for follower in list(room.followers):
                follower.listener.typing(str(event.get("author")))

    def _wake(
        self, conversation_id: str, room: _Room, *, messages: bool = False, standing: bool = False
    ) -> None:
        room.read_messages |= messages
        room.read_standing |= standing
        if room.task is None:
            # A task lives only while there is something to read: an idle conversation costs none.
            room.task = asyncio.create_task(self._run(conversation_id, room))

    async def _run(self, conversation_id: str, room: _Room) -> None:
        try:
            while room.followers and (room.read_messages or room.read_standing):
                try:
                    await self._read(conversation_id, room)
                except (StorageError, TimeoutError) as error:
                    logger.warning("not pushed yet", extra={"error": str(error)})
                    room.read_messages = room.read_standing = True
                    await self._world.sleep(_RETRY_S)
        except Exception:
            # A fault of ours must not silence the conversation: the next event starts anew.
            logger.exception("push failed", extra={"conversation": conversation_id})
        finally:
            room.task = None

    async def _read(self, conversation_id: str, room: _Room) -> None:
        standing, room.read_standing = room.read_standing, False
        if room.read_messages:
            room.read_messages = False
            # Followers with the same cursor, nearly always all of them, share one reading.
            free = {one.cursor for one in room.followers if one.taking is None}
            for cursor in sorted(free, reverse=True):
                await self._read_after(conversation_id, room, cursor)
        if standing:
            found = await self._view.standing(conversation_id)
            if found is not None:
                await _each(room.followers, lambda one: one.listener.standing(found))

    async def _read_after(self, conversation_id: str, room: _Room, cursor: int) -> None:
        page = await self._view.page(conversation_id, after=cursor, limit=_PAGE)
        if page is None:
            await _each(room.followers, lambda one: one.listener.gone())
            return
        given = {
            one
            for one in room.followers
            if one.taking is None and one.cursor == cursor and (page["messages"] or not one.greeted)
        }
        for one in given:
            one.cursor, one.greeted = page["next_after"], True
        if len(page["messages"]) < LONG_PAGE:
            await _each(given, lambda one: one.listener.messages(page))
            return
        for one in given:
            # Beside the reading: who takes long must not hold up the others.
            one.taking = asyncio.create_task(self._take(conversation_id, room, one, page))

    async def _take(
        self, conversation_id: str, room: _Room, follower: Follower, page: Page
    ) -> None:
        try:
            await follower.listener.messages(page)
        except Exception:
            logger.exception("push failed", extra={"conversation": conversation_id})
        finally:
            follower.taking = None
        if follower in room.followers:
            self._wake(conversation_id, room, messages=True)


async def _each(followers: set[Follower], call: Callable[[Follower], Awaitable[None]]) -> None:
    for follower in list(followers):
        await call(follower)
