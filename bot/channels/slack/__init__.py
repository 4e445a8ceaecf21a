"""Slack: sets the channel up where an app's token is given."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from bot.channels.channel import Channel, ChannelSettings, Wiring
from bot.errors import SettingError


class SlackSettings(ChannelSettings):
    """KEFU_SLACK_...: an app in one Slack workspace."""

    model_config = SettingsConfigDict(env_prefix="KEFU_SLACK_")

    bot_token: SecretStr | None = Field(
        None, description="Slack: the app's bot token (`xoxb-...`); unset, the channel is off."
    )
    signing_secret: SecretStr | None = Field(
        None, description="Slack: the app's signing secret, which its requests are checked with."
    )
    api_url: str = Field(
        "https://slack.com/api/", description="Slack: base address of the Web API."
    )


def open_channel(wiring: Wiring) -> Channel | None:
    """The channel, None without a token; raises SettingError for a missing setting."""
    settings = SlackSettings()
    if settings.bot_token is None and settings.signing_secret is None:
        return None
    if settings.bot_token is None:
        raise SettingError("KEFU_SLACK_BOT_TOKEN", "is missing; see OAuth & Permissions of the app")
    if settings.signing_secret is None:
        raise SettingError(
            "KEFU_SLACK_SIGNING_SECRET", "is missing; see Basic Information of the app"
        )
    # The client's library is only loaded where it is used.
    from bot.channels.slack.app import Slack

    return Slack(wiring, settings)
