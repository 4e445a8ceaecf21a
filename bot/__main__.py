"""Runs the gateway: `python -m bot`."""

import asyncio
import gc
import logging
import signal
import sys

from aiohttp import web
from pydantic import ValidationError
from pydantic_settings import SettingsError

from bot.app import GATEWAY, build_app
from bot.errors import KefuError
from bot.http.guard import SERVER_LIMITS
from bot.log_lines import log_lines
from bot.settings import Settings

logger = logging.getLogger("bot")


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then answer what was accepted and stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stopped.set)
    app = await build_app(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5, **SERVER_LIMITS)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
        logger.info("listening", extra={"host": settings.host, "port": settings.port})
        # What start-up made stays: the collector need not look at it again.
        gc.freeze()
        await stopped.wait()
        # The door stays open meanwhile: new messages get a 503 that says when to come back.
        left = await app[GATEWAY].drain()
        logger.info("drained", extra={"left": left})
    finally:
        await runner.cleanup()


def main() -> None:
    """Start the gateway; what is wrong with the set-up is one line and exit code 1."""
    log_lines()
    try:
        settings = Settings()
    except (ValidationError, SettingsError) as error:
        sys.exit(f"gateway: a setting cannot be used: {_first_line(error)}")
    try:
        asyncio.run(serve(settings))
    except KefuError as error:
        sys.exit(f"gateway: {error}")
    except OSError as error:
        sys.exit(
            f"gateway: cannot listen on {settings.host}:{settings.port} ({error.strerror}); free "
            "the port or set KEFU_PORT"
        )


def _first_line(error: Exception) -> str:
    """What is wrong, without the value: that may be a secret."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False)[0]
        return f"KEFU_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}"
    return str(error)


if __name__ == "__main__":
    main()
