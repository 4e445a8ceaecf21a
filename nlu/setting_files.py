"""Where settings come from: variables, `.env`, and files as containers have for secrets."""

import os
from pathlib import Path

from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

VARIABLE = "KEFU_SECRETS_DIR"


class FileSettings(BaseSettings):
    """Base of the settings: a variable goes before a line of `.env`, and that before a file.

    A file in the folder KEFU_SECRETS_DIR has the name of its variable in lower case.
    """

    model_config = SettingsConfigDict(env_prefix="KEFU_", env_file=".env", extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the files as well when there is a folder of them."""
        sources = (init_settings, env_settings, dotenv_settings)
        folder = secrets_folder()
        if folder is None:
            return sources
        return *sources, SecretsSettingsSource(settings_cls, secrets_dir=folder)


def secrets_folder() -> Path | None:
    """The folder of secret files, if one is named; raises SettingsError when it is not there."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        raise SettingsError(f"{VARIABLE}: {folder} is no folder; mount the secrets there")
    return folder
