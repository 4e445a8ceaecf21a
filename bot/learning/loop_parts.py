"""What the learning loop is made with: its steps, its pace, and the ports to what it changes."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bot.learning.exposed import expose_dataset
from bot.learning.pruning import prune
from bot.log.journal import Journal
from bot.log.training_runs import Row
from bot.settings import Settings
from bot.world import World

# Each but the last is done by a process of its own, which leaves a report in the run's folder.
STEPS = ("harvest", "guard", "seal", "train", "prove", "release")
ACTOR = "learning loop"

# `answers`: people have said what a proof was open for.
Why = Literal["period", "hand", "drift", "answers"]
Command = Callable[[str, str], Sequence[str]]  # (step, run id)


class Release(Protocol):
    """What makes a version serve (bot/learning/release/)."""

    async def promote(
        self, version: str, *, actor: str, run_id: str | None = None, reason: str | None = None
    ) -> object:
        """Have it answer everyone. Raises RequestError."""
        ...

    async def start_canary(
        self, version: str, *, share: float, actor: str, run_id: str | None = None
    ) -> object:
        """Have it answer a share of the conversations. Raises RequestError."""
        ...

    async def open_trial(self) -> Row | None:
        """The trial that is open."""
        ...


def step_command(step: str, run_id: str) -> list[str]:
    """The process that does a step."""
    return [sys.executable, "-m", "bot.learning.step_process", step, run_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopParts:
    """What the loop is made with."""

    journal: Journal
    settings: Settings
    world: World
    release: Release
    champion: Callable[[], str | None]  # the version that serves
    # Notes which turns a version was trained on: (run, version, the champion it began at).
    expose: Callable[[Journal, Settings, Row], Awaitable[None]] = expose_dataset
    # Removes versions that nobody will come back to.
    prune: Callable[[Journal, Settings], Awaitable[object]] = prune


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often is looked, in seconds."""

    look_s: float = 1.0  # at the process of a step
    renew_s: float = 2.0  # it is said that the run is looked after
    adopt_after_s: float = 10.0  # without that, and its process gone, another takes it up


def bundle_of(run: Row, models_dir: Path) -> Path:
    """Where a run's version is made: under the same name, however often it is begun again."""
    return models_dir / "nlu" / f"{run['created_at']:%Y%m%d-%H%M%S}-{run['id'][-6:]}"
