"""Wires the gateway together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from bot.channels.api import Api
from bot.channels.body import MAX_BODY_BYTES
from bot.channels.failures import answer_failures
from bot.channels.health import Health
from bot.channels.limits import Limits
from bot.channels.rest import Rest
from bot.delivery import Delivery, Patience, Services
from bot.intake import Intake
from bot.log import database
from bot.log.journal import Journal
from bot.redaction import Redactor
from bot.settings import Settings
from bot.tokens import Tokens, load_secret
from bot.turns import HttpDialogue, HttpUnderstanding
from bot.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a test replaces; None means the real thing."""

    services: Services | None = None
    world: World | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The running parts, for who stops or watches the process."""

    journal: Journal
    intake: Intake
    delivery: Delivery
    drain_timeout_s: float

    async def drain(self) -> int:
        """Take nothing new, answer what was accepted; returns how many are left for later."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.drain_timeout_s):
                await self.intake.settle()
        return await self.delivery.drain(self.drain_timeout_s)


GATEWAY: web.AppKey[Gateway] = web.AppKey("gateway", Gateway)


async def build_app(settings: Settings, *, overrides: Overrides | None = None) -> web.Application:
    """The gateway's application: starting it migrates the database and resumes what was left.

    Raises DatabaseUrlError for an address that is neither SQLite nor PostgreSQL; starting raises
    StorageError when the database cannot be reached or changed.
    """
    overrides = overrides or Overrides()
    world = overrides.world or World()
    session = aiohttp.ClientSession(
        # Connections are kept: how many turns run at once is the delivery's to bound.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    services = overrides.services or Services(
        dialogue=HttpDialogue(session, settings.dialogue_url, timeout_s=settings.turn_timeout_s),
        understanding=HttpUnderstanding(
            session, settings.nlu_url, timeout_s=settings.turn_timeout_s
        ),
    )
    journal = Journal(
        write_engine=database.open_engine(settings.database_url, writer=True),
        read_engine=database.open_engine(settings.database_url),
        world=world,
    )
    delivery = Delivery(journal, services, _redactor(settings), _patience(settings), world)
    tokens = Tokens(_secret(settings))
    intake = Intake(journal, delivery, tokens)

    app = web.Application(middlewares=[answer_failures], client_max_size=MAX_BODY_BYTES)
    app[GATEWAY] = Gateway(
        journal=journal,
        intake=intake,
        delivery=delivery,
        drain_timeout_s=settings.drain_timeout_s,
    )
    limits = Limits(max_text_chars=settings.max_text_chars, wait_timeout_s=settings.wait_timeout_s)
    Api(journal, intake, tokens, limits=limits, detail=settings.detail).add_routes(app.router)
    Rest(journal, intake, access=settings.rest_webhook, limits=limits).add_routes(app.router)
    Health(journal, intake, services.dialogue).add_routes(app.router)

    async def run(app: web.Application) -> AsyncIterator[None]:
        await asyncio.to_thread(database.upgrade, settings.database_url)
        journal.start()
        await delivery.resume()
        yield
        await delivery.drain(0)
        await journal.close()
        await session.close()

    app.cleanup_ctx.append(run)
    return app


def _redactor(settings: Settings) -> Redactor:
    return Redactor(settings.redaction_regions, settings.redaction_keep)


def _patience(settings: Settings) -> Patience:
    return Patience(
        retry_for_s=settings.turn_retry_s,
        concurrency=settings.turn_concurrency,
        max_pending=settings.max_pending,
        max_pending_per_conversation=settings.max_pending_per_conversation,
        apology=settings.apology,
    )


def _secret(settings: Settings) -> str:
    if settings.token_secret is not None:
        return settings.token_secret.get_secret_value()
    return load_secret(settings.state_dir)
