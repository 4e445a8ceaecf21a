"""Puts the dialogue process together: model, stores, clients, channels, health routes."""

import asyncio
import logging
import os
from pathlib import Path

import aiohttp
import rasa.core.run
from rasa.core.lock_store import LockStore
from rasa.core.tracker_store import TrackerStore
from rasa.core.utils import AvailableEndpoints
from sanic import Sanic, response
from sanic.request import Request
from sanic.response import HTTPResponse

from bot.dialogue.action_calls import ActionCalls
from bot.dialogue.model_files import newest_model
from bot.dialogue.settings import ROOT, DialogueSettings
from bot.dialogue.turn_channel import TurnChannel
from bot.dialogue.turn_processor import TurnAgent
from bot.dialogue.understanding import Understanding

logger = logging.getLogger("kefu.dialogue")

FOLDER = ROOT / "bot" / "dialogue"
CONNECTIONS = 100  # to each of the other processes


def build_app(settings: DialogueSettings) -> Sanic:
    """Rasa's Sanic app with our agent. Raises NoDialogueModel when there is nothing to serve."""
    endpoints = read_endpoints(settings)
    agent = build_agent(endpoints, newest_model(settings.model_folder))
    channels = rasa.core.run.create_http_input_channels(None, str(FOLDER / "credentials.yml"))
    app = rasa.core.run.configure_app(channels, enable_api=False)
    app.ctx.agent = agent
    app.config.ACCESS_LOG = False

    async def connect(app: Sanic, _loop: asyncio.AbstractEventLoop) -> None:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit_per_host=CONNECTIONS))
        app.ctx.session = session
        app.ctx.understanding = Understanding(session, endpoints.nlu.url)
        agent.processor.http_interpreter = app.ctx.understanding
        ActionCalls(session, endpoints.action.url).install()
        logger.info("dialogue ready model=%s port=%d", agent.model_name, settings.port)

    async def drain(app: Sanic, _loop: asyncio.AbstractEventLoop) -> None:
        for channel in channels:
            if isinstance(channel, TurnChannel):
                await channel.drain()

    async def disconnect(app: Sanic, _loop: asyncio.AbstractEventLoop) -> None:
        await app.ctx.session.close()
        agent.tracker_store.close()

    app.register_listener(connect, "before_server_start")
    app.register_listener(drain, "before_server_stop")
    app.register_listener(disconnect, "after_server_stop")
    add_health_routes(app)
    return app


def read_endpoints(settings: DialogueSettings) -> AvailableEndpoints:
    """endpoints.yml; it names variables that have defaults in our settings."""
    os.environ["KEFU_NLU_URL"] = settings.nlu_url
    os.environ["KEFU_ACTIONS_URL"] = settings.actions_url
    os.environ["KEFU_DIALOGUE_DATABASE"] = settings.database_url
    return AvailableEndpoints.read_endpoints(str(FOLDER / "endpoints.yml"))


def build_agent(endpoints: AvailableEndpoints, model: Path) -> TurnAgent:
    """An agent with this model, our tracker store and our locks."""
    agent = TurnAgent(
        tracker_store=TrackerStore.create(endpoints.tracker_store),
        lock_store=LockStore.create(endpoints.lock_store),
        action_endpoint=endpoints.action,
    )
    agent.load_model(model)
    return agent


def add_health_routes(app: Sanic) -> None:
    """`/healthz` and `/readyz`; both say what they know about this process alone."""

    @app.get("/healthz")
    async def healthz(_request: Request) -> HTTPResponse:
        return response.json({"status": "ok"})

    @app.get("/readyz")
    async def readyz(request: Request) -> HTTPResponse:
        agent: TurnAgent = request.app.ctx.agent
        try:
            await agent.tracker_store.check()
        except Exception as error:
            logger.warning("not ready reason=%s", type(error).__name__)
            return response.json(
                {"status": "not ready", "reason": f"the database: {type(error).__name__}"},
                status=503,
            )
        return response.json({"status": "ready", "model": agent.model_name})
