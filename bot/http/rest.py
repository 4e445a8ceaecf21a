"""Rasa's own REST channel, so that any client of a Rasa server can talk to kefu."""

import json
import secrets
from typing import Any

from aiohttp import web

from bot.errors import RequestError
from bot.http import body, origin
from bot.http.limits import Limits
from bot.intake import Intake
from bot.log.journal import Journal
from bot.log.records import Accepted, Inbound
from bot.settings import Access
from bot.turner import Turned

CHANNEL = "rest"
_MAX_KNOWN = 10_000


class Rest:
    """POST /webhooks/rest/webhook: one message in, the list of the bot's messages out."""

    def __init__(
        self,
        journal: Journal,
        intake: Intake,
        *,
        access: Access,
        limits: Limits,
    ) -> None:
        self._journal = journal
        self._intake = intake
        self._access: Access = access
        self._limits = limits
        self._conversations: dict[str, str] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the routes into an application's router."""
        router.add_get("/webhooks/rest/", self.health)
        router.add_post("/webhooks/rest/webhook", self.webhook)

    async def health(self, request: web.Request) -> web.Response:
        """What Rasa answers there."""
        origin.require(request, self._access, "webhook")
        return web.json_response({"status": "ok"})

    async def webhook(self, request: web.Request) -> web.Response:
        """Answer as Rasa does; the request waits for the turn."""
        origin.require(request, self._access, "webhook")
        fields = await body.read_object(request)
        sender = body.read_id(fields, "sender")
        text = body.read_text(fields, "message", self._limits.max_text_chars)
        self._intake.refuse_when_closed()
        accepted = await self._take(sender, text)
        turned = await self._intake.wait(accepted, self._limits.wait_timeout_s)
        if turned is None:
            raise RequestError(
                504,
                "message",
                "the message was taken in, the answer is not there yet",
                "wait before you write again",
            )
        finished = turned.finished if isinstance(turned, Turned) else turned
        messages = as_rasa(sender, finished.replies)
        if request.query.get("stream", "").lower() == "true":
            lines = "".join(json.dumps(message) + "\n" for message in messages)
            return web.Response(text=lines, content_type="text/plain")
        return web.json_response(messages)

    async def _take(self, sender: str, text: str) -> Accepted:
        # The protocol has no message id: every request is a message of its own.
        message_id = secrets.token_hex(16)
        try:
            return await self._intake.take(await self._inbound(sender, message_id, text))
        except RequestError as error:
            if error.status != 404:
                raise
        # Erased since it was looked up: the sender starts anew.
        self._conversations.pop(sender, None)
        return await self._intake.take(await self._inbound(sender, message_id, text))

    async def _inbound(self, sender: str, message_id: str, text: str) -> Inbound:
        return Inbound(
            conversation_id=await self._conversation(sender),
            channel=CHANNEL,
            account=sender,
            message_id=message_id,
            text=text,
        )

    async def _conversation(self, sender: str) -> str:
        known = self._conversations.get(sender)
        if known is None:
            known = await self._journal.open_conversation(CHANNEL, sender)
            if len(self._conversations) >= _MAX_KNOWN:
                self._conversations.clear()
            self._conversations[sender] = known
        return known


def as_rasa(sender: str, replies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replies in the form of Rasa's REST channel: parts apart, paragraphs as messages of their
    own."""
    messages: list[dict[str, Any]] = []
    for reply in replies:
        extra = reply["extra"] or {}
        if reply["buttons"]:
            messages.append(
                {
                    "recipient_id": sender,
                    "text": reply["text"] or "",
                    "buttons": reply["buttons"],
                }
            )
        elif reply["text"]:
            messages += (
                {"recipient_id": sender, "text": part}
                for part in reply["text"].strip().split("\n\n")
            )
        messages += (
            {"recipient_id": sender, kind: extra[kind]}
            for kind in ("custom", "image", "attachment")
            if kind in extra
        )
    return messages
