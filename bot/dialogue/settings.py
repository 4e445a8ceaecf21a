"""The dialogue process's settings, read from `KEFU_` variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogueSettings:
    """Where the dialogue process listens, whom it asks and where it keeps what it knows."""

    port: int
    nlu_url: str
    actions_url: str
    models_dir: Path
    state_dir: Path
    database_url: str

    @property
    def model_folder(self) -> Path:
        """Folder of the trained dialogue models."""
        return self.models_dir / "dialogue"


def read_settings(environment: Mapping[str, str] | None = None) -> DialogueSettings:
    """Read the settings; the database is a file of our own unless PostgreSQL is named."""
    env = os.environ if environment is None else environment
    state_dir = Path(env.get("KEFU_STATE_DIR", ".kefu"))
    return DialogueSettings(
        port=int(env.get("KEFU_DIALOGUE_PORT", "5005")),
        nlu_url=env.get("KEFU_NLU_URL", "http://127.0.0.1:5006").rstrip("/"),
        actions_url=env.get("KEFU_ACTIONS_URL", "http://127.0.0.1:5055").rstrip("/"),
        models_dir=Path(env.get("KEFU_MODELS_DIR", "models")),
        state_dir=state_dir,
        database_url=dialogue_database(env.get("KEFU_DATABASE_URL", ""), state_dir),
    )


def dialogue_database(database_url: str, state_dir: Path) -> str:
    """The address of the tracker's database.

    PostgreSQL is shared with the gateway. SQLite is not: it has one writer at a time, and the
    gateway's commits would wait for ours. psycopg 3, which the gateway's URL names, is psycopg2
    here, because SQLAlchemy 1.4 knows no other.
    """
    if database_url.startswith("postgresql"):
        return "postgresql+psycopg2://" + database_url.split("://", 1)[1]
    return f"sqlite:///{state_dir / 'dialogue.db'}"
