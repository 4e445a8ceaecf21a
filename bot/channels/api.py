"""The web API: conversations with a signed token, messages with the client's own ids."""

from typing import Any

from aiohttp import web

from bot.channels import body, origin
from bot.channels.limits import Limits
from bot.delivery import Turned
from bot.intake import Intake, unknown_conversation
from bot.log.journal import Journal
from bot.log.records import Accepted, Finished, Inbound
from bot.outcome import answer_of
from bot.settings import Access
from bot.tokens import Tokens

CHANNEL = "api"
_MAX_SEQ = 2**63 - 1
_MAX_PAGE = 200


class Api:
    """The routes below /api/v1."""

    def __init__(
        self,
        journal: Journal,
        intake: Intake,
        tokens: Tokens,
        *,
        limits: Limits,
        detail: Access,
    ) -> None:
        self._journal = journal
        self._intake = intake
        self._tokens = tokens
        self._limits = limits
        self._detail: Access = detail

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the routes into an application's router."""
        router.add_post("/api/v1/conversations", self.open)
        router.add_post("/api/v1/conversations/{conversation_id}/messages", self.send)
        router.add_get("/api/v1/conversations/{conversation_id}/messages", self.read)

    async def open(self, request: web.Request) -> web.Response:
        """A new conversation and the token that goes with it."""
        self._intake.refuse_when_closed()
        if request.can_read_body:
            await body.read_object(request)
        conversation_id = await self._journal.open_conversation(CHANNEL)
        return web.json_response(
            {"conversation_id": conversation_id, "token": self._tokens.issue(conversation_id)},
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
        accepted = await self._intake.take(
            Inbound(
                conversation_id=conversation_id,
                channel=CHANNEL,
                account=conversation_id,
                message_id=body.read_id(fields, "id"),
                text=body.read_text(fields, "text", self._limits.max_text_chars),
            )
        )
        if wait:
            turned = await self._intake.wait(accepted, self._limits.wait_timeout_s)
            if turned is not None:
                return web.json_response(_answered(accepted, turned, detail=detail))
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
        page = await self._journal.messages(conversation_id, after=after, limit=max(limit, 1))
        if page is None:
            raise unknown_conversation()
        status, rows = page
        return web.json_response(
            {
                "conversation_id": conversation_id,
                "status": status,
                "messages": [_shown(row) for row in rows],
                "next_after": rows[-1]["seq"] if rows else after,
            }
        )

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


def _answered(accepted: Accepted, turned: Turned | Finished, *, detail: bool) -> dict[str, Any]:
    finished = turned.finished if isinstance(turned, Turned) else turned
    answer: dict[str, Any] = {
        "message": _acknowledged(accepted) | {"state": finished.state},
        "replies": [_shown(row) for row in finished.replies],
    }
    if detail and isinstance(turned, Turned):
        answer["detail"] = _detail(turned)
    return answer


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


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A message's row as clients see it: an inbound one under the client's own id."""
    shown: dict[str, Any] = {
        "id": row["message_id"] or row["id"],
        "seq": row["seq"],
        "direction": row["direction"],
        "text": row["text"],
        "created_at": row["created_at"].isoformat(),
    }
    if row["direction"] == "in":
        return shown | {"state": row["state"]}
    return (
        shown
        | {"buttons": row["buttons"] or [], "metadata": row["metadata"] or {}}
        | (row["extra"] or {})
    )
