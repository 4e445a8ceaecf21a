"""The voice of the customer behind the pages: counting, watching and telling, again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import aiohttp

from bot.console.voice.bell import Address, Bell
from bot.console.voice.counting import Counting
from bot.console.voice.watch import Watch
from bot.errors import SettingError, StorageError
from bot.log.journal import Journal
from bot.log.voice_alerts import Findings
from bot.settings import Settings
from bot.world import World

logger = logging.getLogger(__name__)

_BELL_EVERY_S = 15.0


class VoiceJob:
    """Counts, looks when an hour is over, and tells the webhook."""

    def __init__(
        self, counting: Counting, watch: Watch, bell: Bell | None, *, every_s: float
    ) -> None:
        self.counting = counting
        self.watch = watch
        self.bell = bell
        self._every_s = every_s
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def of(
        cls, settings: Settings, journal: Journal, session: aiohttp.ClientSession, world: World
    ) -> "VoiceJob":
        """As the settings say; raises SettingError for one that cannot be used."""
        address = Address.of(settings)
        return cls(
            Counting(journal, zone_of(settings), world),
            Watch(
                journal,
                world,
                false_alarms=settings.watch_false_alarms,
                notify=address is not None,
            ),
            None if address is None else Bell(journal, session, address, world),
            every_s=settings.voice_every_s,
        )

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._every(self._every_s, self.once))]
        if self.bell is not None:
            self._tasks.append(asyncio.create_task(self._every(_BELL_EVERY_S, self.bell.once)))

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def once(self) -> Findings | None:
        """Count and look once; None where another gateway is at it, or the hour was looked at."""
        if not await self.counting.once():
            return None
        return await self.watch.once()

    async def _every(self, seconds: float, job: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await job()
            except (StorageError, TimeoutError) as error:
                logger.warning("customers' voice not heard", extra={"error": str(error)})
            except Exception:
                # A fault of ours with one day must not stop the rest.
                logger.exception("customers' voice not heard")
            await asyncio.sleep(seconds)


def zone_of(settings: Settings) -> ZoneInfo:
    """The zone whose days are counted; raises SettingError for one that there is not."""
    try:
        return ZoneInfo(settings.report_time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingError(
            "KEFU_REPORT_TIME_ZONE",
            f"{settings.report_time_zone} is no time zone; write one such as Europe/Berlin",
        ) from error
