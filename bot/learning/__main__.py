"""Runs the learning loop as a process: `python -m bot.learning`."""

import asyncio
import logging
import signal
import sys
from datetime import timedelta
from functools import partial

from aiohttp import web
from pydantic import ValidationError
from pydantic_settings import SettingsError

from bot.errors import KefuError
from bot.learning.opened import opened_loop
from bot.learning.schedule import read_period
from bot.learning.service import LearningService, ServiceParts, health_app, look_for_drift
from bot.log import database
from bot.log_lines import log_lines
from bot.settings import Settings

logger = logging.getLogger("bot.learning")


async def serve(settings: Settings, period: timedelta | None) -> None:
    """Keep the schedule until SIGTERM or SIGINT; a run that goes on is taken up at the next start.

    Raises OSError when the port is taken.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stopped.set)
    await asyncio.to_thread(database.upgrade, settings.database_url)
    async with opened_loop(settings) as opened:
        parts = ServiceParts(
            journal=opened.journal,
            settings=settings,
            world=opened.world,
            loop=opened.loop,
            trials=opened.releases,
            drift=partial(look_for_drift, settings),
        )
        service = LearningService(parts, period)
        runner = web.AppRunner(health_app(service), access_log=None)
        await runner.setup()
        await service.start()
        try:
            await web.TCPSite(runner, "127.0.0.1", settings.learn_port).start()
            logger.info("learning", extra={"port": settings.learn_port, "every": str(period)})
            await stopped.wait()
        finally:
            await service.close()
            await runner.cleanup()


def run(settings: Settings, period: timedelta | None) -> None:
    """The process, to its end; what is wrong with the set-up is one line and exit code 1."""
    log_lines()
    try:
        asyncio.run(serve(settings, period))
    except OSError as error:
        sys.exit(
            f"learning: cannot listen on port {settings.learn_port} ({error.strerror}); free the "
            "port or set KEFU_LEARN_PORT"
        )


def main() -> None:
    """As `kefu up` starts it."""
    try:
        settings = Settings()
        run(settings, read_period(settings.learn_every))
    except (ValidationError, SettingsError) as error:
        kind = type(error).__name__
        sys.exit(f"learning: a setting cannot be used ({kind}); `kefu settings` tells of them")
    except KefuError as error:
        sys.exit(f"learning: {error}")


if __name__ == "__main__":
    main()
