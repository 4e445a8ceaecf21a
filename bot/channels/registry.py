"""The messaging platforms that kefu knows: one line each."""

import asyncio
import logging
from collections.abc import Mapping
from importlib import import_module

from bot.channels.channel import Channel, ChannelSettings, Wiring

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 10.0

CHANNELS: dict[str, str] = {
    "telegram": "bot.channels.telegram",
    "slack": "bot.channels.slack",
    "webhook": "bot.channels.webhook",
    "whatsapp": "bot.channels.whatsapp",
    "messenger": "bot.channels.messenger",
    "wechat": "bot.channels.wechat",
    "wecom": "bot.channels.wecom",
}


def open_channels(wiring: Wiring) -> dict[str, Channel]:
    """The channels that are set up, by name; raises SettingError for one set up by half."""
    opened: dict[str, Channel] = {}
    for name, module in CHANNELS.items():
        channel = import_module(module).open_channel(wiring)
        if channel is not None:
            opened[name] = channel
    return opened


async def close_channels(channels: Mapping[str, Channel]) -> None:
    """Close those that want it; one that cannot keeps no other part of the gateway open."""
    for name, channel in channels.items():
        if not hasattr(channel, "close"):
            continue
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await channel.close()
        except Exception:
            logger.exception("channel not closed", extra={"channel": name})


def settings_classes() -> list[type[ChannelSettings]]:
    """The settings of every channel, for the page that lists them."""
    classes: list[type[ChannelSettings]] = []
    for module in CHANNELS.values():
        for value in vars(import_module(module)).values():
            if (
                isinstance(value, type)
                and issubclass(value, ChannelSettings)
                and value is not ChannelSettings
                and value not in classes
            ):
                classes.append(value)
    return classes
