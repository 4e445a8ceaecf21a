"""Takes a thumb for an answer, or stars for the conversation."""

from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from bot.errors import RequestError
from bot.http import body
from bot.intake import unknown_conversation
from bot.log import feedback
from bot.log.feedback import Rating, Thumb
from bot.log.journal import Journal
from bot.tokens import Tokens
from bot.world import World

_MAX_COMMENT_CHARS = 2000


class Feedback:
    """POST /api/v1/conversations/{id}/feedback; saying it again replaces it."""

    def __init__(
        self, journal: Journal, tokens: Tokens, redact: Callable[[str], str], world: World
    ) -> None:
        self._journal = journal
        self._tokens = tokens
        self._redact = redact
        self._world = world

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the route into an application's router."""
        router.add_post("/api/v1/conversations/{conversation_id}/feedback", self.take)

    async def take(self, request: web.Request) -> web.Response:
        """Keep `{"message_id", "score"}` or `{"rating", "comment"?}`."""
        conversation_id = request.match_info["conversation_id"]
        self._tokens.check(request.headers.get("Authorization"), conversation_id)
        fields = await body.read_object(request)
        if ("rating" in fields) == ("message_id" in fields):
            raise RequestError(
                400,
                "rating",
                "there is to be either a rating or a message_id",
                'send {"message_id", "score"} or {"rating", "comment"}',
            )
        if "rating" in fields:
            return web.json_response(await self._rate(conversation_id, fields))
        return web.json_response(await self._thumb(conversation_id, fields))

    async def _thumb(self, conversation_id: str, fields: dict[str, Any]) -> dict[str, Any]:
        thumb = Thumb(
            conversation_id=conversation_id,
            message_id=body.read_id(fields, "message_id"),
            score=_one_of(fields, "score", (1, -1)),
        )
        known = await self._journal.write(
            partial(feedback.keep_thumb, thumb=thumb, now=self._world.now())
        )
        if not known:
            raise RequestError(
                404,
                "message_id",
                "the bot said no such message in this conversation",
                "send the id of a message whose author is bot",
            )
        return {"message_id": thumb.message_id, "score": thumb.score}

    async def _rate(self, conversation_id: str, fields: dict[str, Any]) -> dict[str, Any]:
        score = _one_of(fields, "rating", (1, 2, 3, 4, 5))
        comment = None
        if fields.get("comment") not in (None, ""):
            comment = self._redact(body.read_text(fields, "comment", _MAX_COMMENT_CHARS))
        rating = Rating(conversation_id=conversation_id, score=score, comment=comment)
        known = await self._journal.write(
            partial(feedback.keep_rating, rating=rating, now=self._world.now())
        )
        if not known:
            raise unknown_conversation()
        return {"rating": score}


def _one_of(fields: dict[str, Any], field: str, allowed: tuple[int, ...]) -> int:
    value = fields.get(field)
    # True equals 1 in Python, and 1.0 does: only whole numbers as such pass.
    if type(value) is not int or value not in allowed:
        raise RequestError(
            400,
            field,
            f"it is none of {', '.join(map(str, allowed))}",
            f'send "{field}" as one of these numbers',
        )
    return value
