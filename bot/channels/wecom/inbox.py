"""Reads WeCom's list of customer-service messages: nothing is lost in a crash, nothing doubled.

A callback only says that there is something to read. That notice is on disk before it is
acknowledged; the messages are then fetched page by page, and the cursor goes on in the database
only after every message of a page is kept. A crash in between means that a page is read again, and
its messages are recognised by their ids.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bot.channels.channel import SendLater, SendRefused
from bot.channels.wechat.api import WechatApi
from bot.errors import RequestError, StorageError
from bot.log import cursors
from bot.log.cursors import Cursor
from bot.log.journal import Journal
from bot.world import World

logger = logging.getLogger(__name__)

# A notice's token is good for ten minutes; without one the platform answers less often.
_TOKEN_AGE = timedelta(minutes=9)
# On the very first reading the list holds three days: older ones nobody asked kefu.
_FIRST_AGE = timedelta(minutes=10)
_FIRST_DELAY_S = 1.0
_MAX_DELAY_S = 60.0
_PAGE = 1000

Item = dict[str, Any]


class Inbox:
    """One reader for each customer-service account; `keep` is given every item, in order."""

    def __init__(
        self,
        journal: Journal,
        api: WechatApi,
        keep: Callable[[Item], Awaitable[None]],
        *,
        channel: str,
        world: World,
    ) -> None:
        self._journal = journal
        self._api = api
        self._keep = keep
        self._channel = channel
        self._world = world
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()

    async def start(self) -> None:
        """Read on where the last process stopped, and what came while none was there."""
        for cursor in await self._journal.read(partial(cursors.load, channel=self._channel)):
            self._wake(cursor.account)

    async def close(self) -> None:
        """Stop reading; the rest is read at the next start."""
        for reader in self._readers.values():
            reader.cancel()
        await asyncio.gather(*self._readers.values(), return_exceptions=True)

    async def note(self, account: str, token: str) -> None:
        """Keep a notice, then read; raises StorageError."""
        now = self._world.now()
        await self._journal.write(
            partial(cursors.note, channel=self._channel, account=account, token=token, now=now)
        )
        self._wake(account)

    def _wake(self, account: str) -> None:
        self._again.add(account)
        reader = self._readers.get(account)
        if reader is None or reader.done():
            self._readers[account] = asyncio.create_task(self._read(account))

    async def _read(self, account: str) -> None:
        """Read until no notice is open; through outages, but never forgetting."""
        delay_s = _FIRST_DELAY_S
        while account in self._again:
            self._again.discard(account)
            try:
                await self._read_once(account)
                delay_s = _FIRST_DELAY_S
                continue
            except (SendLater, SendRefused, RequestError, StorageError, TimeoutError) as error:
                logger.warning(
                    "wecom messages not read", extra={"account": account, "error": str(error)}
                )
            except Exception:
                # An item of an unknown form must not end the reading of all that come after it.
                logger.exception("wecom messages not understood", extra={"account": account})
            self._again.add(account)
            await self._world.sleep(self._world.chance.uniform(delay_s / 2, delay_s))
            delay_s = min(delay_s * 2, _MAX_DELAY_S)

    async def _read_once(self, account: str) -> None:
        found = await self._journal.read(partial(cursors.load, channel=self._channel))
        cursor = next((one for one in found if one.account == account), None)
        if cursor is None:
            return
        await self._read_pages(cursor)
        settled = await self._journal.write(
            partial(
                cursors.settle, channel=self._channel, account=account, noted_at=cursor.noted_at
            )
        )
        if not settled:
            self._again.add(account)

    async def _read_pages(self, cursor: Cursor) -> None:
        value = cursor.value
        since_s = _first_reading_since(value)
        while True:
            page = await self._page(cursor, value)
            for item in page.get("msg_list") or []:
                if since_s is None or _sent_s(item) >= since_s:
                    await self._keep(item)
            following = page.get("next_cursor")
            if isinstance(following, str) and following and following != value:
                await self._journal.write(
                    partial(
                        cursors.advance,
                        channel=self._channel,
                        account=cursor.account,
                        old=value,
                        new=following,
                    )
                )
                value = following
            elif page.get("has_more") == 1:
                raise SendLater("the list has more but no cursor to it")
            if page.get("has_more") != 1:
                return

    async def _page(self, cursor: Cursor, value: str) -> dict[str, Any]:
        request: dict[str, Any] = {"limit": _PAGE, "voice_format": 0, "open_kfid": cursor.account}
        if not value.startswith(cursors.SINCE):
            request["cursor"] = value
        if cursor.token and self._is_fresh(cursor.noted_at):
            request["token"] = cursor.token
        return await self._api.post("cgi-bin/kf/sync_msg", request)

    def _is_fresh(self, noted_at: datetime | None) -> bool:
        return noted_at is not None and self._world.now() - noted_at < _TOKEN_AGE


def _first_reading_since(value: str) -> float | None:
    """From when on messages count where there is no cursor yet; None where there is one."""
    if not value.startswith(cursors.SINCE):
        return None
    return float(value.removeprefix(cursors.SINCE)) - _FIRST_AGE.total_seconds()


def _sent_s(item: Item) -> float:
    sent_s = item.get("send_time")
    return float(sent_s) if isinstance(sent_s, int | float) else 0.0
