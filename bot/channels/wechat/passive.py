"""Answers WeChat within its request, for accounts without the customer-service API."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bot.channels.channel import Outgoing
from bot.channels.text_fallback import as_text, split_text
from bot.channels.wechat.messages import MAX_TEXT_BYTES
from bot.log import passive
from bot.log.journal import Journal
from bot.log.records import Accepted

# WeChat hangs up after 5 s.
WAIT_S = 4.5
_LOOK_S = 0.5
_MAX_KEPT = 2000
_BETWEEN = "\n\n"
_CUT_SHORT = "…"


class PassiveReplies:
    """Waits for a message's turn and takes what is to be said out of the outbox.

    What comes too late stays there and goes with the answer to the customer's next message. Each
    message has one answer: WeChat's second and third try get the same.
    """

    def __init__(
        self, journal: Journal, file_url: Callable[[str], str], wait_s: float = WAIT_S
    ) -> None:
        self._journal = journal
        self._file_url = file_url
        self._wait_s = wait_s
        self._answers: OrderedDict[str, asyncio.Task[str]] = OrderedDict()

    async def answer(self, accepted: Accepted) -> str:
        """What to say now; "" when there is nothing yet. Raises StorageError."""
        task = self._answers.get(accepted.id)
        if task is None:
            task = asyncio.create_task(self._find(accepted))
            self._answers[accepted.id] = task
            if len(self._answers) > _MAX_KEPT:
                self._answers.popitem(last=False)
        try:
            text = await asyncio.shield(task)
        except Exception:
            self._answers.pop(accepted.id, None)
            raise
        if not text:
            # Too late or nothing: another try may find more.
            self._answers.pop(accepted.id, None)
        return text

    async def _find(self, accepted: Accepted) -> str:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turn_of(accepted)
        except TimeoutError:
            # Nothing is taken from here on: it would be marked as sent and not be heard.
            return ""
        rows = await self._journal.write(
            partial(
                passive.take,
                conversation_id=accepted.inbound.conversation_id,
                choose=self._how_many_fit,
            )
        )
        if not rows and accepted.duplicate:
            # Answered before, by another gateway or before a restart: from the log, the same again.
            finished = await self._journal.finished(accepted.id)
            rows = finished.replies if finished is not None else []
            rows = rows[: self._how_many_fit(rows)]
        return self._joined(rows)

    async def _turn_of(self, accepted: Accepted) -> None:
        """Return when the message's turn is on disk."""
        news = asyncio.Event()
        unwatch = self._journal.hub.watch(
            accepted.inbound.conversation_id, lambda topic, event: news.set()
        )
        try:
            while await self._journal.finished(accepted.id) is None:
                news.clear()
                try:
                    async with asyncio.timeout(_LOOK_S):
                        await news.wait()
                except TimeoutError:
                    pass
        finally:
            unwatch()

    def _how_many_fit(self, rows: Sequence[dict[str, Any]]) -> int:
        """How many of the messages one reply holds; at least one."""
        count = 1
        while count < len(rows) and len(self._words(rows[: count + 1]).encode()) <= MAX_TEXT_BYTES:
            count += 1
        return min(count, len(rows))

    def _joined(self, rows: Sequence[dict[str, Any]]) -> str:
        text = self._words(rows)
        if len(text.encode()) <= MAX_TEXT_BYTES:
            return text
        room = MAX_TEXT_BYTES - len(_CUT_SHORT.encode())
        return split_text(text, room, lambda part: len(part.encode()))[0] + _CUT_SHORT

    def _words(self, rows: Sequence[dict[str, Any]]) -> str:
        return _BETWEEN.join(text for text in map(self._text, rows) if text)

    def _text(self, row: dict[str, Any]) -> str:
        return as_text(
            Outgoing(
                id=row["id"],
                conversation_id=row["conversation_id"],
                account=row["account"],
                seq=row["seq"],
                text=row["text"],
                buttons=row["buttons"] or [],
                image=(row["extra"] or {}).get("image"),
                attachments=[
                    one | {"url": self._file_url(one["id"])} if one.get("id") else one
                    for one in row["attachments"] or ()
                ],
                created_at=row["created_at"],
            )
        )
