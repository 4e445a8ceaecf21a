"""How a process of ours logs: one line a record, its fields after it."""

import logging


class Fields(logging.Formatter):
    """One line a record: time, level, event, then its fields as key=value."""

    _usual = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        fields = "".join(
            f" {key}={value!r}" for key, value in record.__dict__.items() if key not in self._usual
        )
        return super().format(record) + fields


def log_lines() -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(Fields("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
