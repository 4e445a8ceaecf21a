"""The one Settings class of kefu: every setting of every process, `KEFU_` variables or `.env`."""

import json
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from actions.settings import ActionSettings
from nlu.settings import NluSettings

Access = Literal["loopback", "on", "off"]


class Settings(ActionSettings, NluSettings):
    """All settings. Environment variables are the field names in capitals after `KEFU_`."""

    host: str = Field("127.0.0.1", description="Address the gateway binds.")
    port: int = Field(8080, description="Port the gateway listens on.")
    state_dir: Path = Field(
        Path(".kefu"), description="Folder of the database, the logs and the token secret."
    )
    dialogue_port: int = Field(5005, description="Port the dialogue process (Rasa) listens on.")
    dialogue_url: str = Field(
        "http://127.0.0.1:5005", description="Base address of the dialogue process."
    )
    actions_url: str = Field(
        "http://127.0.0.1:5055", description="Base address of the action server."
    )
    token_secret: SecretStr | None = Field(
        None,
        description="Key that signs conversation tokens; unset, one is made and kept in the state "
        "folder.",
    )

    rasa_python: Path = Field(
        Path(".venv-rasa/bin/python"), description="The Python 3.10 that has Rasa installed."
    )
    drain_timeout_s: float = Field(
        30.0, gt=0, description="Seconds a stopping process may take to finish what it accepted."
    )

    max_text_chars: int = Field(
        4000, gt=0, description="Longest message of a customer, in characters; longer ones get 413."
    )
    wait_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Seconds a request with `?wait=true` waits for the replies before it gets 202.",
    )
    rest_webhook: Access = Field(
        "loopback",
        description="Rasa's REST channel: `loopback` (clients on this machine), `on` or `off`.",
    )
    detail: Access = Field(
        "loopback",
        description="Who may ask what was understood (`&detail=true`): `loopback`, `on` or `off`.",
    )
    turn_timeout_s: float = Field(
        30.0, gt=0, description="Seconds one try of a turn may take in the dialogue process."
    )
    turn_retry_s: float = Field(
        120.0,
        gt=0,
        description="Seconds a turn is tried while the processes behind the gateway are down, "
        "before the customer gets the apology.",
    )
    turn_concurrency: int = Field(
        64, gt=0, description="Turns given to the dialogue process at once."
    )
    max_pending: int = Field(
        2000, gt=0, description="Messages that may wait for an answer; beyond, clients get 429."
    )
    max_pending_per_conversation: int = Field(
        100, gt=0, description="The same for one conversation."
    )
    apology: str = Field(
        "Sorry, something went wrong on our side. Please write again in a few minutes.",
        description="What the customer reads when a turn could not be done.",
    )
    redaction_regions: list[str] = Field(
        ["GB", "US", "CN"],
        description="Countries whose phone numbers are redacted, your own first (JSON list).",
    )
    redaction_keep: list[str] = Field(
        [],
        description="Your own public phone numbers and e-mail addresses, which redaction leaves "
        "in the log (JSON list).",
    )

    @model_validator(mode="after")
    def derive(self) -> Self:
        """An address that was not set follows the port that was; the database, the state folder."""
        derived = {
            "nlu_url": f"http://127.0.0.1:{self.nlu_port}",
            "actions_url": f"http://127.0.0.1:{self.actions_port}",
            "dialogue_url": f"http://127.0.0.1:{self.dialogue_port}",
            "database_url": f"sqlite:///{self.state_dir / 'kefu.db'}",
        }
        for name, value in derived.items():
            if name not in self.model_fields_set:
                setattr(self, name, value)
        return self

    def environment(self) -> dict[str, str]:
        """Every setting as the `KEFU_` variable that a process of ours reads it from."""
        found = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, SecretStr):
                text = value.get_secret_value()
            else:
                text = json.dumps(value) if isinstance(value, list | dict) else str(value)
            found[f"KEFU_{name.upper()}"] = text
        return found
