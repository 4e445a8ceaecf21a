"""How long customers wait, when people are there, and who comes first."""

from dataclasses import dataclass, field
from typing import Self

from actions.hours import Hours, read_hours
from bot.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The handoff as the settings want it; 0 seconds switch a limit off."""

    hours: Hours = field(default_factory=Hours)
    wait_when_closed: bool = True
    upset_first: bool = True
    wait_s: float = 900.0
    idle_s: float = 600.0
    position_every_s: float = 300.0
    sweep_s: float = 5.0
    rest_messages: int = 5

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises DataFileError for opening hours that cannot be read."""
        return cls(
            hours=read_hours(settings.hours_path),
            wait_when_closed=settings.handoff_when_closed == "wait",
            upset_first=settings.handoff_upset_first,
            wait_s=settings.handoff_wait_s,
            idle_s=settings.handoff_idle_s,
            position_every_s=settings.handoff_position_every_s,
            sweep_s=settings.handoff_sweep_s,
            rest_messages=settings.handoff_rest_messages,
        )
