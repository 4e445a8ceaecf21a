"""The eraser with all that it reaches, as a gateway and the command line have it."""

from collections.abc import Callable

from bot.channels.registry import CHANNELS
from bot.log.journal import Journal
from bot.privacy.eraser import Eraser
from bot.privacy.steps import Places, Steps
from bot.settings import Settings
from bot.turner import Services
from bot.world import World


def open_eraser(
    settings: Settings,
    journal: Journal,
    services: Services,
    hash_text: Callable[[str], str],
    world: World,
) -> Eraser:
    """An eraser over the settings' database and folders."""
    places = Places(database_url=settings.database_url, state_dir=settings.state_dir)
    steps = Steps(journal, services.dialogue, services.understanding, places, world)
    return Eraser(journal, steps, hash_text, world, platforms=lambda: tuple(CHANNELS))
