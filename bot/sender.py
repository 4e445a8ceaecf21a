"""Gives the outbox to the messaging platforms: in order, with retries, and once where they can."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from bot.cards import buttons_under, cards_as_text
from bot.channels.channel import Channel, Outgoing, SendLater, SendRefused
from bot.errors import StorageError
from bot.log import nonces, outbox
from bot.log.journal import Journal
from bot.world import World

logger = logging.getLogger(__name__)

POLL_S = 1.0
HOUSEKEEPING_S = 60.0
# Whatever a platform wishes: not sooner than this.
SOONEST_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Postage:
    """How often and how long a message is tried, and how many at once on one channel."""

    first_delay_s: float = 5.0
    max_delay_s: float = 600.0
    give_up_s: float = 86_400.0
    send_timeout_s: float = 30.0
    concurrency: int = 16

    @property
    def lease_s(self) -> float:
        """How long a message is this gateway's: longer than one try can take."""
        return self.send_timeout_s * 3


class Sender:
    """One courier for each channel, so that a slow platform holds up no other."""

    def __init__(
        self,
        journal: Journal,
        channels: Mapping[str, Channel],
        file_url: Callable[[str], str],
        postage: Postage,
        world: World,
    ) -> None:
        self._journal = journal
        self._channels = channels
        self._file_url = file_url
        self._postage = postage
        self._world = world
        self._wakes = {name: asyncio.Event() for name in channels}
        self._couriers: list[asyncio.Task[None]] = []
        self._housekeeper: asyncio.Task[None] | None = None
        self._closing = False
        self._sending: set[asyncio.Task[None]] = set()
        # What is being sent or settled: our own claim may run out while the database is away. What
        # is settled leaves before the courier hears of a claim that was committed after it.
        self._in_hand: set[str] = set()
        self._busy = dict.fromkeys(channels, 0)

    def start(self) -> None:
        """Send from now on what is due."""
        self._journal.sending = frozenset(self._channels)
        self._journal.on_outbox = self.wake
        self._couriers = [asyncio.create_task(self._deliver(name)) for name in self._channels]
        self._housekeeper = asyncio.create_task(self._keep_house())

    def wake(self) -> None:
        """Look at the outbox now."""
        for wake in self._wakes.values():
            wake.set()

    async def close(self, timeout_s: float) -> None:
        """Claim nothing new and let what is claimed be sent."""
        self._closing = True
        self.wake()
        if self._housekeeper is not None:
            self._housekeeper.cancel()
        for tasks in (self._couriers, self._sending):
            # Couriers first: the last of what they claim is sent as well.
            if tasks:
                await asyncio.wait(tasks, timeout=timeout_s)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, name: str) -> None:
        wake = self._wakes[name]
        while not self._closing:
            wake.clear()
            free = self._postage.concurrency - self._busy[name]
            try:
                rows = await self._claim(name, free) if free > 0 else []
            except StorageError as error:
                logger.error("outbox not read", extra={"error": str(error)})
                rows = []
            except Exception:
                # A fault of ours must not silence the channel for good.
                logger.exception("courier lost its way", extra={"channel": name})
                rows = []
            for row in rows:
                if row["id"] in self._in_hand:
                    continue
                self._in_hand.add(row["id"])
                self._busy[name] += 1
                task = asyncio.create_task(self._send(name, row))
                self._sending.add(task)
                task.add_done_callback(partial(self._done, name))
            if self._closing:
                return
            try:
                async with asyncio.timeout(POLL_S):
                    await wake.wait()
            except TimeoutError:
                pass

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._busy[name] -= 1
        self._wakes[name].set()

    async def _claim(self, name: str, most: int) -> list[dict[str, Any]]:
        return await self._journal.write(
            partial(
                outbox.claim,
                channels=[name],
                most=most,
                lease_s=self._postage.lease_s,
                now=self._world.now(),
            )
        )

    async def _send(self, name: str, row: dict[str, Any]) -> None:
        try:
            await self._try(name, row)
        finally:
            self._in_hand.discard(row["id"])

    async def _try(self, name: str, row: dict[str, Any]) -> None:
        """One try of one message, and what came of it."""
        try:
            async with asyncio.timeout(self._postage.send_timeout_s):
                await self._channels[name].send(self._outgoing(row))
        except SendRefused as refused:
            await self._fail(row, refused.reason)
        except SendLater as later:
            await self._postpone(row, later.reason, later.retry_after_s)
        except TimeoutError:
            await self._postpone(row, "no answer in time", None)
        except Exception as error:
            logger.exception("channel failed", extra=_traced(row))
            await self._postpone(row, f"{type(error).__name__}: {error}", None)
        else:
            await self._settle(row, "sent", None)

    async def _postpone(self, row: dict[str, Any], reason: str, wish_s: float | None) -> None:
        age = self._world.now() - row["queued_at"]
        if age > timedelta(seconds=self._postage.give_up_s):
            await self._fail(row, f"given up after {age.total_seconds() / 3600:.0f} h: {reason}")
            return
        delay_s = min(
            self._postage.first_delay_s * 2 ** min(row["attempts"] - 1, 20),
            self._postage.max_delay_s,
        )
        delay_s = self._world.chance.uniform(delay_s / 2, delay_s)
        if wish_s is not None:
            # The platform knows best, but neither at once nor for ever.
            delay_s = min(max(wish_s, SOONEST_S), self._postage.give_up_s)
        logger.warning("sent later", extra=_traced(row) | {"why": reason, "in_s": round(delay_s)})
        await self._settle(row, "queued", reason, delay_s)

    async def _fail(self, row: dict[str, Any], reason: str) -> None:
        logger.error("not sent", extra=_traced(row) | {"why": reason})
        await self._settle(row, "failed", reason)

    async def _settle(
        self, row: dict[str, Any], state: str, error: str | None, delay_s: float = 0.0
    ) -> None:
        """Note it, through a database restart too: what was sent must not be sent again."""
        pause_s = 0.1
        while True:
            try:
                await self._journal.write(
                    partial(
                        outbox.settle,
                        row=row["id"],
                        state=state,
                        error=None if error is None else _storable(error[:500]),
                        next_at=self._world.now() + timedelta(seconds=delay_s),
                    )
                )
                return
            except Exception as failure:
                logger.error("outbox not written", extra={"error": str(failure)})
            await self._world.sleep(pause_s)
            pause_s = min(pause_s * 2, 5.0)

    def _outgoing(self, row: dict[str, Any]) -> Outgoing:
        extra = row["extra"] or {}
        # No platform is asked to draw cards: they are said, and their buttons go under the message.
        text = "\n\n".join(part for part in (row["text"], cards_as_text(extra)) if part)
        return Outgoing(
            id=row["id"],
            conversation_id=row["conversation_id"],
            account=row["account"],
            seq=row["seq"],
            text=text or None,
            buttons=buttons_under(row["buttons"], extra),
            image=extra.get("image"),
            attachments=[
                one | {"url": self._file_url(one["id"])} if one.get("id") else one
                for one in row["attachments"] or ()
            ],
            custom=extra.get("custom"),
            author=row["author"],
            agent_name=row["agent_name"],
            last_inbound_at=row["last_inbound_at"],
            created_at=row["created_at"],
        )

    async def _keep_house(self) -> None:
        """Forget nonces that no request could use any more."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            try:
                await self._journal.write(partial(nonces.forget, now=self._world.now()))
            except Exception as error:
                logger.warning("housekeeping failed", extra={"error": str(error)})


def _storable(reason: str) -> str:
    """What a platform gave as its reason, as any database keeps it."""
    return reason.replace("\0", "").encode("utf-8", "replace").decode()


def _traced(row: dict[str, Any]) -> dict[str, Any]:
    return {"channel": row["channel"], "message_id": row["id"], "tries": row["attempts"]}
