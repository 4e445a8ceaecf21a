"""Settings of the action server, read from `KEFU_` variables or `.env`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from actions.hours import FILE as HOURS_FILE
from nlu.setting_files import FileSettings


class ActionSettings(FileSettings):
    """What the action server and the QA store need to know."""

    data_dir: Path = Field(
        Path("data"), description="Folder of the example business or of your own: training data."
    )
    hours_file: Path | None = Field(
        None,
        description="When people are in the chat; unset, `hours.yml` in the data folder. Without "
        "the file they always are.",
    )
    handoff_when_closed: Literal["wait", "bot"] = Field(
        "wait",
        description="Who asks for a person outside opening hours waits in the queue (`wait`), or "
        "is told when people are back and stays with the bot (`bot`).",
    )
    database_url: str = Field(
        "sqlite:///.kefu/kefu.db",
        description="SQLAlchemy URL of the one database: SQLite, or PostgreSQL as "
        "`postgresql+psycopg://user:password@host/name`.",
    )
    actions_host: str = Field("127.0.0.1", description="Address the action server binds.")
    actions_port: int = Field(5055, description="Port the action server listens on.")
    actions_drain_s: float = Field(
        10.0, gt=0, description="Seconds the action server waits for running actions on SIGTERM."
    )
    actions_max_body_bytes: int = Field(
        8 * 1024 * 1024,
        gt=0,
        description="Largest action call accepted; the tracker of a long conversation is in it.",
    )
    nlu_url: str = Field(
        "http://127.0.0.1:5006", description="Base address of the understanding service."
    )
    embed_timeout_s: float = Field(
        3.0,
        gt=0,
        description="Seconds to wait for the embedding of one question; then words alone are "
        "compared.",
    )
    qa_refresh_s: float = Field(
        2.0, gt=0, description="Seconds between looks at whether the QA store has changed."
    )

    @property
    def hours_path(self) -> Path:
        """The file of the opening hours."""
        return self.hours_file or self.data_dir / HOURS_FILE
