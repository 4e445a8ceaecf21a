"""Runs the action server: `python -m actions`."""

import logging
import os
import sys

from aiohttp import web

from actions.errors import ActionsError
from actions.settings import ActionSettings


def main() -> int:
    """Serves until SIGTERM or Ctrl-C, then lets running actions end; the exit code."""
    # One question is too little work to share: threads that wait for their part would burn a core.
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    from actions.server import build_app  # after that, because it loads numpy

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("rasa_sdk").setLevel(logging.WARNING)
    settings = ActionSettings()
    try:
        app = build_app(settings)
    except ActionsError as error:
        print(f"actions: {error}", file=sys.stderr)
        return 1
    logging.getLogger("actions").info(
        "listening host=%s port=%d", settings.actions_host, settings.actions_port
    )
    try:
        web.run_app(
            app,
            host=settings.actions_host,
            port=settings.actions_port,
            access_log=None,
            print=None,
            shutdown_timeout=settings.actions_drain_s,
        )
    except OSError as error:
        print(
            f"actions: cannot listen on {settings.actions_host}:{settings.actions_port} "
            f"({error.strerror or error}); set KEFU_ACTIONS_PORT",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
