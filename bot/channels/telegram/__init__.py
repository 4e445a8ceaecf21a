"""Telegram: sets the channel up where a bot token is given."""

import re

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from bot.channels.channel import Channel, ChannelSettings, Wiring
from bot.errors import SettingError

_SECRET = re.compile(r"[A-Za-z0-9_-]{16,256}")


class TelegramSettings(ChannelSettings):
    """KEFU_TELEGRAM_...: a bot that @BotFather made."""

    model_config = SettingsConfigDict(env_prefix="KEFU_TELEGRAM_")

    token: SecretStr | None = Field(
        None, description="Telegram: the bot's token from @BotFather; unset, the channel is off."
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Telegram: what its requests carry to prove themselves; 16 to 256 letters, "
        "digits, `_` and `-` of your choice.",
    )
    public_url: str | None = Field(
        None,
        description="Telegram: the gateway's public https address, which is registered at the "
        "start; unset, `KEFU_PUBLIC_URL`, and without that register it yourself.",
    )
    api_url: str = Field(
        "https://api.telegram.org", description="Telegram: base address of the Bot API."
    )
    start_text: str = Field(
        "hello", description="Telegram: what a customer who presses Start says to the bot."
    )


def open_channel(wiring: Wiring) -> Channel | None:
    """The channel, None without a token; raises SettingError for a bad or missing setting."""
    settings = TelegramSettings()
    if settings.token is None and settings.webhook_secret is None:
        return None
    if settings.token is None:
        raise SettingError("KEFU_TELEGRAM_TOKEN", "is missing; @BotFather gives it for a bot")
    if settings.webhook_secret is None:
        raise SettingError(
            "KEFU_TELEGRAM_WEBHOOK_SECRET", "is missing; make one with `openssl rand -hex 32`"
        )
    if _SECRET.fullmatch(settings.webhook_secret.get_secret_value()) is None:
        raise SettingError(
            "KEFU_TELEGRAM_WEBHOOK_SECRET", "must be 16 to 256 letters, digits, `_` and `-`"
        )
    if re.fullmatch(r"\d+:\S+", settings.token.get_secret_value()) is None:
        raise SettingError(
            "KEFU_TELEGRAM_TOKEN", "is not a bot token; it looks like 123456:ABC-DEF"
        )
    # aiogram takes seconds to import: only who uses it pays.
    from bot.channels.telegram.bot import Telegram

    return Telegram(wiring, settings)
