"""The pages of the channels: doors, processes, and messages that platforms did not take."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from bot.channels.registry import CHANNELS
from bot.console.channels.configured import Configured, configured_channels
from bot.console.channels.machine import look
from bot.console.routes import ADMINISTRATORS
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.log import audit
from bot.log import outbox as rows
from bot.log.channel_health import ChannelHealth, channels_seen, health_of

LETTERS = 50
_OWN = ("api", "rest", "socketio")  # doors of kefu's own, always there


class ChannelPages:
    """Reading for everyone, dead letters for administrators."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def show(self, visit: Visit) -> web.Response:
        """How every door and process does."""
        gateway = self._gateway
        now = gateway.world.now()
        configured = await asyncio.to_thread(configured_channels, list(gateway.channels))
        seen = await gateway.journal.browse(channels_seen)
        names = list(dict.fromkeys([*seen, *gateway.channels]))
        health, processes, machine, letters = await asyncio.gather(
            gateway.journal.browse(partial(health_of, channels=names, now=now)),
            gateway.processes.ask(),
            look(gateway),
            gateway.journal.browse(partial(rows.listing, state="failed", limit=LETTERS)),
        )
        return visit.page(
            "channels/list.html",
            doors=_doors(configured, health),
            off=[one for one in configured if one.state == "off" and one.name not in health],
            processes=processes,
            machine=machine,
            letters=letters,
            most_letters=LETTERS,
            editor=visit.agent.role in ADMINISTRATORS,
        )

    async def retry(self, visit: Visit) -> web.Response:
        """Queue dead letters again: those that are ticked, or all."""
        form = await visit.form()
        ids = [str(value) for value in form.getall("id", [])]
        all_ = "all" in form
        if not ids and not all_:
            raise RequestError(422, "id", "no message is ticked", "tick some, or retry all")
        now = self._gateway.world.now()

        def unit(connection: Connection) -> int:
            if all_:
                count = rows.retry(connection, ids=None, now=now)
                self._note(connection, visit, "outbox.retry", "all", {"messages": count})
                return count
            for row in _failed(connection, ids):
                self._note(connection, visit, "outbox.retry", row["id"], _detail(row))
            return rows.retry(connection, ids=ids, now=now)

        await self._gateway.journal.write(unit)
        self._gateway.journal.on_outbox()
        return visit.redirect("/channels", notice="channels.retried")

    async def drop(self, visit: Visit) -> web.Response:
        """Give dead letters up; they stay in their conversations."""
        ids = [str(value) for value in (await visit.form()).getall("id", [])]
        if not ids:
            raise RequestError(422, "id", "no message is ticked", "tick what is to be dropped")

        def unit(connection: Connection) -> int:
            failed = _failed(connection, ids)
            for row in failed:
                self._note(connection, visit, "outbox.drop", row["id"], _detail(row))
            return rows.drop(connection, ids=[row["id"] for row in failed])

        await self._gateway.journal.write(unit)
        return visit.redirect("/channels", notice="channels.dropped")

    def _note(
        self,
        connection: Connection,
        visit: Visit,
        action: str,
        target: str,
        detail: Mapping[str, Any],
    ) -> None:
        world = self._gateway.world
        audit.note(
            connection,
            id_=world.new_id(),
            who=(visit.agent.id, action, target),
            detail=dict(detail),
            now=world.now(),
        )


def _doors(
    configured: list[Configured], health: Mapping[str, ChannelHealth]
) -> list[dict[str, Any]]:
    """Kefu's own doors first, then platforms that are set up or were heard of."""
    by_name = {one.name: one for one in configured}
    wanted = [
        *(name for name in _OWN if name in health),
        *(one.name for one in configured if one.state != "off" or one.name in health),
        *(name for name in health if name not in _OWN and name not in CHANNELS),
    ]
    return [
        {
            "name": name,
            "configured": by_name.get(name),
            "health": health.get(name) or ChannelHealth(),
        }
        for name in wanted
    ]


def _failed(connection: Connection, ids: list[str]) -> list[dict[str, Any]]:
    return [row for row in rows.find(connection, ids=ids) if row["state"] == "failed"]


def _detail(row: Mapping[str, Any]) -> dict[str, Any]:
    # Not what the platform said: it may quote the customer.
    return {name: row[name] for name in ("conversation_id", "channel", "state")}
