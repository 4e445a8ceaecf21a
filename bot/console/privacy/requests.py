"""Erasures under way and those that are done, with their reports."""

import json
from functools import partial
from typing import Any

from aiohttp import web

from bot.console.visit import Visit
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.log import erasures
from bot.privacy.work import in_order

MOST = 100


class RequestPages:
    """/privacy and /privacy/requests/{request_id}."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def show_all(self, visit: Visit) -> web.StreamResponse:
        """The search for a customer, and the latest requests."""
        found = await self._gateway.journal.browse(partial(erasures.latest, most=MOST))
        return visit.page("privacy/index.html", requests=found)

    async def show(self, visit: Visit) -> web.StreamResponse:
        """How far it is, or the report."""
        return visit.page("privacy/request.html", request=await self._request(visit))

    async def progress(self, visit: Visit) -> web.StreamResponse:
        """The part of the page that changes."""
        return visit.page("privacy/progress.html", request=await self._request(visit))

    async def report(self, visit: Visit) -> web.StreamResponse:
        """The report as a file."""
        request = await self._request(visit)
        if request["report"] is None:
            raise RequestError(409, "request_id", "it is not done yet", "wait for its last step")
        return web.Response(
            text=json.dumps(request["report"], ensure_ascii=False, indent=1) + "\n",
            content_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="erasure-{request["id"]}.json"'},
        )

    async def _request(self, visit: Visit) -> dict[str, Any]:
        id_ = visit.param("request_id")
        found = await self._gateway.journal.browse(partial(erasures.read, id_=id_))
        if found is None or found["kind"] == "retention":
            raise RequestError(404, "request_id", "there is no such request", "go back to the list")
        steps = found["steps"]
        return found | {"steps": {name: steps[name] for name in in_order(steps)}}
