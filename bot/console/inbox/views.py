"""Keeps and removes saved views."""

from functools import partial
from urllib.parse import urlencode

from aiohttp import web

from bot.console.inbox.query import FIELDS, read_query
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.log.inbox_views import MOST_VIEWS, View, drop_view, keep_view

MAX_NAME_CHARS = 40


class InboxViews:
    """Answers the forms of views."""

    def __init__(self, gateway: Gateway) -> None:
        self._journal = gateway.journal
        self._world = gateway.world

    async def keep(self, visit: Visit) -> web.StreamResponse:
        """Keep the filters of the form under a name; `shared` is for administrators.

        Words that were searched for may be a customer's, so a view holds none.
        """
        name = await visit.field("name")
        if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise RequestError(
                422, "name", "the view has no usable name", f"give 1 to {MAX_NAME_CHARS} characters"
            )
        shared = await visit.field("shared") == "yes"
        if shared and visit.agent.role != "administrator":
            raise RequestError(
                403, "shared", "only administrators share views", "keep it for yourself"
            )
        fields = {field: await visit.field(field) for field in FIELDS}
        chosen = dict(read_query(fields, agent_id=visit.agent.id).chosen)
        view = View(
            id=self._world.new_id(),
            name=name,
            filters=chosen,
            agent_id=None if shared else visit.agent.id,
            created_by=visit.agent.id,
        )
        kept = await self._journal.write(partial(keep_view, view=view, now=self._world.now()))
        if kept is None:
            raise RequestError(
                422, "name", f"there are {MOST_VIEWS} views already", "remove one first"
            )
        return visit.redirect(
            "/inbox" + (f"?{urlencode(chosen)}" if chosen else ""), notice="inbox.view_kept"
        )

    async def drop(self, visit: Visit) -> web.StreamResponse:
        """Remove a view of one's own; an administrator also a shared one."""
        dropped = await self._journal.write(
            partial(
                drop_view,
                view_id=visit.param("view_id"),
                agent_id=visit.agent.id,
                shared=visit.agent.role == "administrator",
            )
        )
        if not dropped:
            raise RequestError(404, "view", "there is no such view of yours", "reload the inbox")
        return visit.redirect("/inbox", notice="inbox.view_gone")
