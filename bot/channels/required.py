"""Tells a channel that is set up from one that is not, and from one that is so by half."""

from pydantic import SecretStr

from bot.channels.channel import ChannelSettings
from bot.errors import SettingError


def require_all(settings: ChannelSettings, *names: str) -> dict[str, str] | None:
    """The values of the settings that a channel cannot be without; None when none of them is set.

    Raises SettingError for the first that is missing.
    """
    values = {name: _plain(getattr(settings, name)) for name in names}
    if not any(values.values()):
        return None
    for name, value in values.items():
        if not value:
            prefix = str(settings.model_config.get("env_prefix", ""))
            raise SettingError(
                prefix + name.upper(),
                "is missing; the channel's page in docs/channels says what it is",
            )
    return values


def _plain(value: SecretStr | str | None) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value or ""
