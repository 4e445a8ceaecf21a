"""The gateway's application: the doors in front of its parts."""

from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from bot.agents import Agents
from bot.console.site import Site
from bot.gateway import Gateway, Overrides, open_gateway
from bot.handoff.assignment import Assignment
from bot.http.agent_api import AgentApi, AgentParts
from bot.http.api import Api, ApiParts
from bot.http.body import MAX_BODY_BYTES
from bot.http.feedback import Feedback
from bot.http.files import FileRoutes
from bot.http.handoff_api import HandoffRoutes
from bot.http.health import Health
from bot.http.openapi import Description
from bot.http.rest import Rest
from bot.http.shown import View
from bot.settings import Settings
from bot.sockets.agent_socket import AgentSocket, AgentSocketParts
from bot.sockets.feed import Feed
from bot.sockets.kefu_socket import KefuSocket
from bot.sockets.rasa_sessions import RasaSessions
from bot.sockets.rasa_socket import RasaParts, RasaSocket
from bot.sockets.server import Sockets
from bot.web.pages import Pages, WidgetOptions

__all__ = ["GATEWAY", "Gateway", "Overrides", "build_app"]

GATEWAY: web.AppKey[Gateway] = web.AppKey("gateway", Gateway)


async def build_app(settings: Settings, *, overrides: Overrides | None = None) -> web.Application:
    """The gateway's application: starting it migrates the database and resumes what was left.

    Raises DatabaseUrlError for an address that is neither SQLite nor PostgreSQL and SettingError
    for a setting that cannot be used; starting raises StorageError when the database cannot be
    reached or changed.
    """
    session = aiohttp.ClientSession(
        # Connections are kept: how many turns run at once is the delivery's to bound.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    try:
        gateway = open_gateway(settings, session, overrides or Overrides())
    except BaseException:
        await session.close()
        raise
    app = web.Application(middlewares=gateway.guard.middlewares(), client_max_size=MAX_BODY_BYTES)
    gateway.guard.protect(app)
    app[GATEWAY] = gateway
    view = View(gateway.journal, gateway.links, gateway.desk.queue_of)
    feed = Feed(view, gateway.journal.hub, gateway.world)
    agents = Agents(gateway.journal)
    site = Site(gateway, gateway.sessions)
    _add_routes(app.router, gateway, view, agents)
    site.add_routes(app.router)
    sockets = _open_sockets(gateway, feed, agents, site)
    sockets.add_routes(app.router)

    async def hang_up(app: web.Application) -> None:
        await sockets.close()
        await feed.close()

    async def run(app: web.Application) -> AsyncIterator[None]:
        await gateway.start()
        yield
        await gateway.stop()
        await session.close()

    app.on_shutdown.append(hang_up)
    app.cleanup_ctx.append(run)
    return app


def _add_routes(router: web.UrlDispatcher, gateway: Gateway, view: View, agents: Agents) -> None:
    settings, journal, tokens = gateway.settings, gateway.journal, gateway.guard.tokens
    parts = ApiParts(
        journal=journal,
        intake=gateway.intake,
        tokens=tokens,
        view=view,
        files=gateway.files,
        identity=gateway.guard.identity,
    )
    Api(parts, limits=gateway.limits, detail=settings.detail).add_routes(router)
    uploads = FileRoutes(gateway.files, gateway.links, tokens)
    uploads.add_routes(router)
    Feedback(journal, tokens, gateway.redact, gateway.world).add_routes(router)
    HandoffRoutes(gateway.desk, tokens).add_routes(router)
    agent_parts = AgentParts(
        journal=journal,
        desk=gateway.desk,
        assignment=Assignment(journal, gateway.desk, gateway.world),
        agents=agents,
        view=view,
        files=gateway.files,
        uploads=uploads,
    )
    AgentApi(agent_parts, limits=gateway.limits).add_routes(router)
    Rest(journal, gateway.intake, access=settings.rest_webhook, limits=gateway.limits).add_routes(
        router
    )
    Health(journal, gateway.intake, gateway.services.dialogue).add_routes(router)
    Description(settings.max_text_chars).add_routes(router)
    widget = WidgetOptions(
        frame_ancestors=[*settings.allowed_origins, *settings.frame_ancestors],
        max_file_bytes=settings.max_file_bytes,
    )
    Pages(widget).add_routes(router)
    for channel in gateway.channels.values():
        channel.add_routes(router)


def _open_sockets(gateway: Gateway, feed: Feed, agents: Agents, site: Site) -> Sockets:
    guard, journal = gateway.guard, gateway.journal
    sockets = Sockets(
        guard.origins, guard.refusals, max_per_address=gateway.settings.max_sockets_per_address
    )
    sockets.register(KefuSocket(guard.tokens, feed, journal.hub))
    of_agents = AgentSocketParts(
        journal=journal, desk=gateway.desk, agents=agents, feed=feed, visitor=site.visitor
    )
    sockets.register(AgentSocket(of_agents))
    if gateway.settings.rasa_socket:
        sessions = RasaSessions(guard.identity, guard.admission, gateway.world)
        rasa = RasaParts(journal=journal, door=gateway.door, feed=feed, sessions=sessions)
        sockets.register(RasaSocket(rasa))
    return sockets
