"""The web API: conversations with a signed token, messages with the client's own ids."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from bot.errors import RequestError
from bot.http import body, origin
from bot.http.files import FileStore
from bot.http.limits import Limits
from bot.http.shown import View
from bot.identity import Identity
from bot.intake import Intake, unknown_conversation
from bot.log import store
from bot.log.journal import Journal
from bot.log.records import Accepted, Finished, Inbound
from bot.outcome import answer_of
from bot.settings import Access
from bot.tokens import Tokens
from bot.turner import Turned

CHANNEL = "api"
_MAX_SEQ = 2**63 - 1
_MAX_PAGE = 200
_MAX_ATTACHMENTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """What the routes work with."""

    journal: Journal
    intake: Intake
    tokens: Tokens
    view: View
    files: FileStore
    identity: Identity


class Api:
    """The routes below /api/v1."""

    def __init__(self, parts: ApiParts, *, limits: Limits, detail: Access) -> None:
        self._journal = parts.journal
        self._intake = parts.intake
        self._tokens = parts.tokens
        self._view = parts.view
        self._files = parts.files
        self._identity = parts.identity
        self._limits = limits
        self._detail: Access = detail

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the routes into an application's router."""
        router.add_post("/api/v1/conversations", self.open)
        router.add_post("/api/v1/conversations/{conversation_id}/messages", self.send)
        router.add_get("/api/v1/conversations/{conversation_id}/messages", self.read)
        router.add_post("/api/v1/conversations/{conversation_id}/locale", self.set_locale)

    async def open(self, request: web.Request) -> web.Response:
        """A new conversation, or the one of a logged-in customer, and the token that opens it."""
        self._intake.refuse_when_closed()
        fields = await body.read_object(request) if request.can_read_body else {}
        locale = body.read_locale(fields, "locale")
        customer_id = self._identity.customer_of(fields)
        conversation_id = await self._journal.open_conversation(
            CHANNEL,
            # No anonymous conversation has such an account: theirs is the conversation's own id.
            None if customer_id is None else f"user:{customer_id}",
            customer_id=customer_id,
            locale=locale,
        )
        return web.json_response(
            {
                "conversation_id": conversation_id,
                "token": self._tokens.issue(conversation_id),
                "verified": customer_id is not None,
            },
            status=201,
        )

    async def send(self, request: web.Request) -> web.Response:
        """Take a message in: 202 at once, or 200 with the replies for `?wait=true`."""
        conversation_id = self._identify(request)
        wait = body.read_flag(request, "wait")
        detail = body.read_flag(request, "detail")
        if detail:
            origin.require(request, self._detail, "detail")
        fields = await body.read_object(request)
        message_id = body.read_id(fields, "id")
        files = body.read_ids(fields, "attachments", _MAX_ATTACHMENTS)
        # A file alone is a message; without one there must be something to read.
        text = ""
        if not files or fields.get("text") not in (None, ""):
            text = body.read_text(fields, "text", self._limits.max_text_chars)
        accepted = await self._intake.take(
            Inbound(
                conversation_id=conversation_id,
                channel=CHANNEL,
                account=conversation_id,
                message_id=message_id,
                text=text,
                attachments=await self._files.attachments(conversation_id, files),
            )
        )
        if wait:
            turned = await self._intake.wait(accepted, self._limits.wait_timeout_s)
            if turned is not None:
                return web.json_response(self._answered(accepted, turned, detail=detail))
        return web.json_response(
            {
                "message": _acknowledged(accepted),
                "poll": f"/api/v1/conversations/{conversation_id}/messages?after={accepted.seq}",
            },
            status=202,
        )

    async def read(self, request: web.Request) -> web.Response:
        """The conversation's messages after a sequence number, the customer's own included."""
        conversation_id = self._identify(request)
        after = body.read_whole_number(request, "after", 0, _MAX_SEQ)
        limit = body.read_whole_number(request, "limit", 50, _MAX_PAGE)
        page = await self._view.page(conversation_id, after=after, limit=max(limit, 1))
        if page is None:
            raise unknown_conversation()
        return web.json_response(page)

    async def set_locale(self, request: web.Request) -> web.Response:
        """The language of what the system itself says from now on: `{"locale"}`."""
        conversation_id = self._identify(request)
        self._intake.refuse_when_closed()
        fields = await body.read_object(request)
        locale = body.read_locale(fields, "locale")
        if locale is None:
            raise RequestError(
                400, "locale", "the field is missing", 'send a language tag such as "zh-CN"'
            )
        known = await self._journal.write(
            partial(store.set_locale, conversation_id=conversation_id, locale=locale)
        )
        if not known:
            raise unknown_conversation()
        return web.json_response({"locale": locale})

    def _answered(
        self, accepted: Accepted, turned: Turned | Finished, *, detail: bool
    ) -> dict[str, Any]:
        finished = turned.finished if isinstance(turned, Turned) else turned
        answer: dict[str, Any] = {
            "message": _acknowledged(accepted) | {"state": finished.state},
            "replies": [self._view.message(row) for row in finished.replies],
        }
        if detail and isinstance(turned, Turned):
            answer["detail"] = _detail(turned)
        return answer

    def _identify(self, request: web.Request) -> str:
        conversation_id = request.match_info["conversation_id"]
        self._tokens.check(request.headers.get("Authorization"), conversation_id)
        return conversation_id


def _acknowledged(accepted: Accepted) -> dict[str, Any]:
    return {
        "id": accepted.inbound.message_id,
        "seq": accepted.seq,
        "created_at": accepted.created_at.isoformat(),
    }


def _detail(turned: Turned) -> dict[str, Any]:
    """What was understood and done, for who runs the bot."""
    parse, turn = turned.parse, turned.work.turn
    intent, emotion = parse.get("intent") or {}, parse.get("emotion") or {}
    return {
        "intent": {"name": intent.get("name"), "confidence": intent.get("confidence")},
        "intent_ranking": parse.get("intent_ranking") or [],
        "emotion": {"name": emotion.get("name"), "confidence": emotion.get("confidence")},
        "entities": [item for item in parse.get("entities") or () if item["entity"] != "emotion"],
        "answer": {"qa": answer_of(turned.work.replies), "actions": turn.actions},
        "model_version": turn.model_version,
        "mode": turn.mode,
        "timing_ms": turned.timings,
        "error": turn.error,
    }
