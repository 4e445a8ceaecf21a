"""What is set for each channel, by the names of settings alone: values stay where they are."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from pydantic import SecretStr, ValidationError

from bot.channels.channel import ChannelSettings
from bot.channels.registry import CHANNELS

State = Literal["open", "half", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: whether it has a value of its own, and whether that is a secret."""

    variable: str
    is_set: bool
    is_secret: bool
    meaning: str
    is_refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A channel: `half` is one with settings that this gateway has not opened."""

    name: str
    state: State
    settings: tuple[Setting, ...]


def configured_channels(opened: Collection[str]) -> list[Configured]:
    """Every channel that kefu knows, as the settings are now."""
    found = []
    for name in CHANNELS:
        settings = channel_settings(name)
        state: State = "open" if name in opened else "off"
        if state == "off" and any(one.is_set for one in settings):
            state = "half"
        found.append(Configured(name=name, state=state, settings=settings))
    return found


def channel_settings(name: str) -> tuple[Setting, ...]:
    """The settings of one channel."""
    found: list[Setting] = []
    for value in vars(import_module(CHANNELS[name])).values():
        if (
            isinstance(value, type)
            and issubclass(value, ChannelSettings)
            and value is not ChannelSettings
        ):
            found += _settings(value)
    return tuple(found)


def _settings(kind: type[ChannelSettings]) -> list[Setting]:
    prefix = str(kind.model_config["env_prefix"])
    refused: set[str] = set()
    given: set[str] = set()
    try:
        given = set(kind().model_fields_set)
    except ValidationError as error:
        # Only the fields' names: the message would hold the value.
        refused = {str(problem["loc"][0]) for problem in error.errors(include_input=False)}
    return [
        Setting(
            variable=f"{prefix}{field}".upper(),
            is_set=field in given or field in refused,
            is_secret="SecretStr" in str(about.annotation) or about.annotation is SecretStr,
            meaning=about.description or "",
            is_refused=field in refused,
        )
        for field, about in kind.model_fields.items()
    ]
