"""Runs the understanding service: `python -m nlu`."""

import logging
import os

from aiohttp import web

from nlu.server import build_app
from nlu.settings import NluSettings

_DRAIN_S = 10.0


def main() -> None:
    """Serves until SIGTERM or SIGINT, then answers what was accepted and exits 0."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    settings = NluSettings()
    web.run_app(
        build_app(settings),
        host=settings.nlu_host,
        port=settings.nlu_port,
        access_log=None,
        print=lambda *words: logging.getLogger("nlu").info(
            "listening on %s:%d", settings.nlu_host, settings.nlu_port
        ),
        shutdown_timeout=_DRAIN_S,
    )


if __name__ == "__main__":
    main()
