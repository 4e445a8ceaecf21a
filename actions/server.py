"""The action server: rasa-sdk's protocol over aiohttp.

rasa-sdk brings a Sanic app. This serves the same routes around its ActionExecutor because that app
- answers 449 to Rasa 3.6 with `selective_domain`: it looks for a domain digest that only newer
  Rasa versions send (here an absent domain is an empty one);
- hands the whole request back, with the customer's words, in a 500;
- sets up tracing, has no bound of its own on a request and no readiness that knows our parts;
- and aiohttp is what the other processes run on already.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from rasa_sdk.executor import ActionExecutor
from rasa_sdk.interfaces import ActionExecutionRejection, ActionNotFoundException
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from actions.answer import Answer
from actions.clock import Clock, utc_now
from actions.database import Database, one_line, open_database
from actions.errors import ActionsError
from actions.fallback import AskAffirmation, DefaultFallback
from actions.handoff import HandOff, OfferHandOff, People
from actions.hours import Hours, read_hours
from actions.orders.desk import OrderDesk
from actions.orders.forms import form_validations
from actions.orders.jobs import order_actions
from actions.orders.seed import move_seed_orders, seed_orders
from actions.qa.importing import Importer, read_strange
from actions.qa.live import QaSearch
from actions.settings import ActionSettings
from actions.tables import ShopOrder
from actions.understanding import Embedder, UnderstandingClient

log = logging.getLogger(__name__)

READY_TIMEOUT_S = 3.0
SEED_EVERY_S = 600.0

EXECUTOR = web.AppKey("executor", ActionExecutor)
PARTS: web.AppKey["Parts"] = web.AppKey("parts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the server is wired from; tests put their own in."""

    database: Database
    embedder: Embedder
    search: QaSearch
    clock: Clock
    hours: Hours = field(default_factory=Hours)


def build_parts(
    settings: ActionSettings, *, embedder: Embedder | None = None, clock: Clock = utc_now
) -> Parts:
    """The parts as the settings say.

    Raises StoreError when the database cannot be opened, DataFileError for bad opening hours.
    """
    database = open_database(settings.database_url)
    embedder = embedder or UnderstandingClient(settings.nlu_url, timeout_s=settings.embed_timeout_s)
    importer = Importer(database, embedder, strange=read_strange(settings.data_dir))
    search = QaSearch(database, embedder, importer, refresh_s=settings.qa_refresh_s)
    return Parts(
        database=database,
        embedder=embedder,
        search=search,
        clock=clock,
        hours=read_hours(settings.hours_path),
    )


def build_app(settings: ActionSettings, *, parts: Parts | None = None) -> web.Application:
    """The application of the action server."""
    parts = parts or build_parts(settings)
    app = web.Application(client_max_size=settings.actions_max_body_bytes)
    app[EXECUTOR] = _executor(settings, parts)
    app[PARTS] = parts
    app.add_routes(
        [
            web.post("/webhook", webhook),
            web.get("/actions", actions),
            web.get("/health", health),
            web.get("/healthz", health),
            web.get("/readyz", ready),
        ]
    )

    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        seeding = asyncio.create_task(_keep_seeded(settings, parts))
        yield
        seeding.cancel()
        await asyncio.gather(seeding, return_exceptions=True)
        await parts.search.close()
        if isinstance(parts.embedder, UnderstandingClient):
            await parts.embedder.close()
        parts.database.close()

    app.cleanup_ctx.append(lifetime)
    return app


def _executor(settings: ActionSettings, parts: Parts) -> ActionExecutor:
    desk = OrderDesk(parts.database, parts.clock)
    people = People(
        hours=parts.hours,
        clock=parts.clock,
        wait_when_closed=settings.handoff_when_closed == "wait",
    )
    executor = ActionExecutor()
    for action in (
        Answer(parts.search, people),
        HandOff(people),
        OfferHandOff(people),
        AskAffirmation(parts.search),
        DefaultFallback(people),
        *order_actions(desk, people),
        *form_validations(desk),
    ):
        executor.register_action(action)
    return executor


async def webhook(request: web.Request) -> web.Response:
    """Runs one action, as rasa-sdk's own server does."""
    try:
        call = await request.json()
    except ValueError:
        return _problem(400, "body: not JSON; send rasa-sdk's action call")
    if not isinstance(call, dict) or not isinstance(call.get("tracker"), dict):
        return _problem(400, "tracker: missing or not an object; send rasa-sdk's action call")
    name = call.get("next_action")
    if not isinstance(name, str) or not isinstance(call["tracker"].get("sender_id"), str):
        return _problem(400, "next_action, tracker.sender_id: must be texts")
    call["domain"] = call.get("domain") or {}
    try:
        result = await request.app[EXECUTOR].run(call)
    except ActionNotFoundException as error:
        return web.json_response({"error": error.message, "action_name": name}, status=404)
    except ActionExecutionRejection as error:
        return web.json_response({"error": error.message, "action_name": name}, status=400)
    except SQLAlchemyError as error:
        # Rasa's side sees a failure and the turn is driven again: better than a wrong answer.
        log.warning("action_failed action=%s reason=%r", name, one_line(error))
        return web.json_response(
            {"error": "the database did not answer", "action_name": name}, status=503
        )
    except Exception:
        log.exception("action_failed action=%s", name)
        return web.json_response({"error": "the action failed", "action_name": name}, status=500)
    return web.json_response(result.model_dump() if result else None)


async def actions(request: web.Request) -> web.Response:
    """The names of all actions."""
    return web.json_response([{"name": a.name} for a in request.app[EXECUTOR].list_actions()])


async def health(request: web.Request) -> web.Response:
    """The process is up."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """200 when the database answers, the store is loaded and the understanding service is ready."""
    parts = request.app[PARTS]
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            orders = await parts.database.read(_count_orders)
            pairs = await parts.search.check()
            if isinstance(parts.embedder, UnderstandingClient):
                await parts.embedder.check()
    except ActionsError as error:
        return _not_ready(str(error))
    except SQLAlchemyError as error:
        return _not_ready(f"database: {one_line(error)}; create the tables with `kefu up`")
    except TimeoutError:
        return _not_ready(f"nothing within {READY_TIMEOUT_S:g} s; see the database and the network")
    return web.json_response({"status": "ready", "qa_pairs": pairs, "orders": orders})


async def _keep_seeded(settings: ActionSettings, parts: Parts) -> None:
    """Fills an empty order table, and moves seed orders on when a day has passed."""
    path = settings.data_dir / "orders.csv"

    def work(connection: Connection) -> int:
        now = parts.clock()
        return seed_orders(connection, path, now) + move_seed_orders(connection, now)

    while True:
        pause = SEED_EVERY_S
        try:
            changed = await parts.database.write(work)
            if changed:
                log.info("orders_seeded orders=%d", changed)
        except SQLAlchemyError as error:
            log.warning("orders_not_seeded reason=%r", one_line(error))
            pause = 5.0  # the tables may be on their way
        except (ActionsError, OSError) as error:
            log.warning("orders_not_seeded reason=%s", error)
        await asyncio.sleep(pause)


def _count_orders(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(ShopOrder)).scalar() or 0


def _problem(status: int, text: str) -> web.Response:
    body: Mapping[str, Any] = {"error": text}
    return web.json_response(body, status=status)


def _not_ready(reason: str) -> web.Response:
    return web.json_response({"status": "not ready", "reason": reason}, status=503)
