"""A route of the console: who may go there, and what is put on record of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from bot.agents import Role
from bot.console.visit import Visit

EVERYONE: frozenset[Role] = frozenset({"agent", "reviewer", "administrator"})
ACTING: frozenset[Role] = frozenset({"agent", "administrator"})
REVIEWING: frozenset[Role] = frozenset({"reviewer", "administrator"})
ADMINISTRATORS: frozenset[Role] = frozenset({"administrator"})

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method and path below /console.

    `audit` is the action of the row that is kept after each success; its target is the path's first
    parameter, or the path where it has none.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    roles: frozenset[Role]
    audit: str | None = None
    # Largest body; None is the gateway's own limit.
    max_body_bytes: int | None = None
