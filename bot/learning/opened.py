"""The learning loop as its process and its commands open it: by the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from bot.learning.loop import Loop
from bot.learning.loop_parts import LoopParts
from bot.learning.release.opened import open_releases
from bot.learning.release.releases import Releases
from bot.log import database
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World
from nlu.bundle import BundleStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The loop and what is behind it."""

    journal: Journal
    releases: Releases
    loop: Loop
    world: World


@asynccontextmanager
async def opened_loop(settings: Settings) -> AsyncIterator[Opened]:
    """The loop, over a journal and a session of its own."""
    world = World()
    async with opened_journal(settings, world) as journal, aiohttp.ClientSession() as session:
        releases = open_releases(journal, session, settings, world)
        parts = LoopParts(
            journal=journal,
            settings=settings,
            world=world,
            release=releases,
            champion=BundleStore(settings.models_dir).current,
        )
        yield Opened(journal=journal, releases=releases, loop=Loop(parts), world=world)


@asynccontextmanager
async def opened_journal(settings: Settings, world: World) -> AsyncIterator[Journal]:
    """A journal for one process or command. Raises DatabaseUrlError."""
    journal = Journal(
        write_engine=database.open_engine(settings.database_url, writer=True),
        read_engine=database.open_engine(settings.database_url),
        world=world,
    )
    journal.start()
    try:
        yield journal
    finally:
        await journal.close()
