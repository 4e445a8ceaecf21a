"""The customer's own part in a handoff: call for a person, close the conversation."""

from aiohttp import web

from bot.handoff.desk import Desk
from bot.http import body
from bot.tokens import Tokens


class HandoffRoutes:
    """POST /api/v1/conversations/{id}/handoff and /close; neither needs the bot to be up."""

    def __init__(self, desk: Desk, tokens: Tokens) -> None:
        self._desk = desk
        self._tokens = tokens

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the routes into an application's router."""
        router.add_post("/api/v1/conversations/{conversation_id}/handoff", self.ask)
        router.add_post("/api/v1/conversations/{conversation_id}/close", self.close)

    async def ask(self, request: web.Request) -> web.Response:
        """Into the queue, or as it was for who waits already."""
        conversation_id = await self._identify(request)
        row = await self._desk.ask(conversation_id)
        queue = await self._desk.queue_of(conversation_id)
        return web.json_response({"status": row["status"], "queue": queue})

    async def close(self, request: web.Request) -> web.Response:
        """Over, until the customer writes again."""
        conversation_id = await self._identify(request)
        row = await self._desk.close(conversation_id, None)
        return web.json_response({"status": row["status"]})

    async def _identify(self, request: web.Request) -> str:
        conversation_id = request.match_info["conversation_id"]
        self._tokens.check(request.headers.get("Authorization"), conversation_id)
        if request.can_read_body:
            await body.read_object(request)
        return conversation_id
