"""Starts the dialogue process: `.venv-rasa/bin/python bot/dialogue/server.py`.

Rasa's own server (Sanic, its channels, its agent) with the newest model, on loopback, the HTTP API
off. Rasa's launcher is not used: it serves without a model when none can be loaded.
"""

import logging
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Run as a script, Python looks for modules in this folder first; ours are named from the root.
sys.path[0] = str(ROOT)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; turns that have begun are finished first."""
    set_up_logging()
    from bot.dialogue.app import build_app
    from bot.dialogue.errors import DialogueError
    from bot.dialogue.settings import read_settings

    settings = read_settings()
    try:
        app = build_app(settings)
    except DialogueError as error:
        sys.exit(str(error))
    app.run(
        host="127.0.0.1",
        port=settings.port,
        workers=1,
        access_log=False,
        motd=False,
        backlog=1024,
    )


def set_up_logging() -> None:
    """One line an event; Rasa and Sanic speak up only when something is wrong."""
    os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")
    os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("kefu").setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addFilter(_worth_a_line)
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        cache_logger_on_first_use=True,
    )


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Not the warnings of Rasa and its dependencies about code that nobody here can change."""
    text = record.getMessage()
    return "DeprecationWarning" not in text and "Slot auto-fill has been removed" not in text


if __name__ == "__main__":
    main()
