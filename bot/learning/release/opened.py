"""Releases as processes and commands open them: by the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from bot.errors import LogMissing
from bot.learning.release.live_guard import ReleaseTerms
from bot.learning.release.releases import Releases
from bot.learning.versions import Versions
from bot.log import database
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World


def open_releases(
    journal: Journal, session: aiohttp.ClientSession, settings: Settings, world: World
) -> Releases:
    """With the understanding service and the terms of the settings."""
    terms = ReleaseTerms(
        canary_h=settings.learn_canary_h,
        canary_conversations=settings.learn_canary_conversations,
        share=settings.learn_canary_share,
    )
    return Releases(journal, Versions(session, settings), world, terms)


@asynccontextmanager
async def opened_releases(settings: Settings) -> AsyncIterator[Releases]:
    """For one command: a journal and a session of its own. Raises LogMissing."""
    path = database.sqlite_path(settings.database_url)
    if path is not None and not path.exists():
        raise LogMissing(str(path))
    world = World()
    journal = Journal(
        write_engine=database.open_engine(settings.database_url, writer=True),
        read_engine=database.open_engine(settings.database_url),
        world=world,
    )
    journal.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield open_releases(journal, session, settings, world)
    finally:
        await journal.close()
