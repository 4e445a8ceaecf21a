"""The agents' API: the queue, and conversations taken, answered, handed back and closed."""

from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from aiohttp import web

from bot.agents import Agent, Agents
from bot.errors import RequestError
from bot.handoff import states
from bot.handoff.assignment import Assignment
from bot.handoff.desk import Desk
from bot.http import body
from bot.http.files import FileRoutes, FileStore
from bot.http.limits import Limits
from bot.http.shown import View
from bot.intake import unknown_conversation
from bot.log.journal import Journal
from bot.log.listing import Wanted, listed, read_cursor, write_cursor
from bot.log.records import Reply, Status

PREFIX = "/api/v1/agent"
_CONVERSATION = PREFIX + "/conversations/{conversation_id}"
_STATUSES: tuple[Status, ...] = get_args(Status)
_MAX_SEQ = 2**63 - 1
_MAX_PAGE = 200
_MAX_OUTCOME_CHARS = 60
_MAX_NOTE_CHARS = 2000
_MAX_ATTACHMENTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """What the routes work with."""

    journal: Journal
    desk: Desk
    assignment: Assignment
    agents: Agents
    view: View
    files: FileStore
    uploads: FileRoutes


class AgentApi:
    """The routes below /api/v1/agent, for bearers of an agent's token."""

    def __init__(self, parts: AgentParts, *, limits: Limits) -> None:
        self._journal = parts.journal
        self._desk = parts.desk
        self._assignment = parts.assignment
        self._agents = parts.agents
        self._view = parts.view
        self._files = parts.files
        self._uploads = parts.uploads
        self._limits = limits

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the routes into an application's router."""
        router.add_get(PREFIX + "/me", self.me)
        router.add_get(PREFIX + "/colleagues", self.colleagues)
        router.add_get(PREFIX + "/conversations", self.list)
        router.add_get(_CONVERSATION + "/messages", self.read)
        router.add_post(_CONVERSATION + "/messages", self.say)
        router.add_post(_CONVERSATION + "/files", self.upload)
        router.add_post(_CONVERSATION + "/take", self.take)
        router.add_post(_CONVERSATION + "/release", self.release)
        router.add_post(_CONVERSATION + "/assign", self.assign)
        router.add_post(_CONVERSATION + "/transfer", self.transfer)
        router.add_post(_CONVERSATION + "/typing", self.typing)
        router.add_post(_CONVERSATION + "/hand-back", self.hand_back)
        router.add_post(_CONVERSATION + "/close", self.close)

    async def me(self, request: web.Request) -> web.Response:
        """Whose token it is."""
        agent = await self._identify(request)
        return web.json_response({"id": agent.id, "name": agent.name, "role": agent.role})

    async def colleagues(self, request: web.Request) -> web.Response:
        """Who may have conversations."""
        await self._identify(request)
        return web.json_response({"colleagues": await self._assignment.colleagues()})

    async def list(self, request: web.Request) -> web.Response:
        """Conversations by status: the waiting in the order of the queue, others newest first."""
        agent = await self._identify(request)
        limit = body.read_whole_number(request, "limit", 50, _MAX_PAGE)
        wanted = Wanted(
            status=_read_status(request),
            agent_id=agent.id if body.read_flag(request, "mine") else None,
            upset_first=self._desk.policy.upset_first,
            after=_read_after(request),
            limit=max(limit, 1),
        )
        rows, end = await self._journal.read(partial(listed, wanted=wanted))
        return web.json_response(
            {
                "conversations": [_summary(row) for row in rows],
                "next_after": None if end is None else write_cursor(end),
            }
        )

    async def read(self, request: web.Request) -> web.Response:
        """The transcript after a sequence number; it is on record who looked."""
        agent = await self._identify(request)
        conversation_id = _conversation_id(request)
        after = body.read_whole_number(request, "after", 0, _MAX_SEQ)
        limit = body.read_whole_number(request, "limit", 50, _MAX_PAGE)
        row = await self._journal.conversation(conversation_id)
        page = await self._view.page(conversation_id, after=after, limit=max(limit, 1))
        if row is None or page is None:
            raise unknown_conversation()
        if after == 0 or row["agent_id"] != agent.id:
            await self._journal.audit(agent.id, "read_transcript", conversation_id)
        return web.json_response(page | {"conversation": standing(row)})

    async def take(self, request: web.Request) -> web.Response:
        """Have the conversation from now on."""
        agent, conversation_id, _ = await self._act(request)
        row = await self._desk.take(conversation_id, agent)
        return web.json_response(standing(row))

    async def release(self, request: web.Request) -> web.Response:
        """Back into the queue, for another agent."""
        agent, conversation_id, _ = await self._act(request)
        return web.json_response(standing(await self._desk.release(conversation_id, agent)))

    async def assign(self, request: web.Request) -> web.Response:
        """Mean it for a colleague, or for anyone: `{"agent_id": id or null}`."""
        agent, conversation_id, fields = await self._act(request)
        to = None if fields.get("agent_id") is None else body.read_id(fields, "agent_id")
        return web.json_response(
            standing(await self._assignment.assign(conversation_id, agent, to))
        )

    async def transfer(self, request: web.Request) -> web.Response:
        """Straight to a colleague, who has it from now on: `{"agent_id"}`."""
        agent, conversation_id, fields = await self._act(request)
        to = body.read_id(fields, "agent_id")
        row = await self._assignment.transfer(conversation_id, agent, to)
        return web.json_response(standing(row))

    async def say(self, request: web.Request) -> web.Response:
        """Write to the customer: `{"id", "text", "attachments"?}`."""
        agent, conversation_id, fields = await self._act(request)
        message_id = body.read_id(fields, "id")
        ids = body.read_ids(fields, "attachments", _MAX_ATTACHMENTS)
        text = None
        if not ids or fields.get("text") not in (None, ""):
            text = body.read_text(fields, "text", self._limits.max_text_chars)
        files = await self._files.attachments(conversation_id, ids)
        reply = Reply(id="", text=text, attachments=[*files] or None)
        row = await self._desk.say(conversation_id, agent, message_id, reply)
        return web.json_response({"id": message_id, "message": self._view.message(row)})

    async def upload(self, request: web.Request) -> web.Response:
        """Keep the body as a file, whose id a message of the agent can then carry."""
        agent = await self._identify(request)
        _check_acts(agent)
        conversation_id = _conversation_id(request)
        await self._desk.check_holder(conversation_id, agent)
        return await self._uploads.take_in(request, conversation_id)

    async def typing(self, request: web.Request) -> web.Response:
        """Show the customer that an answer is on its way."""
        agent, conversation_id, _ = await self._act(request)
        await self._desk.typing(conversation_id, agent)
        return web.json_response({})

    async def hand_back(self, request: web.Request) -> web.Response:
        """Let the bot go on: `{"outcome", "note"?}`."""
        agent, conversation_id, fields = await self._act(request)
        outcome = _read_outcome(fields)
        note = None
        if fields.get("note") not in (None, ""):
            note = body.read_text(fields, "note", _MAX_NOTE_CHARS)
        row = await self._desk.hand_back(conversation_id, agent, outcome, note)
        return web.json_response(standing(row))

    async def close(self, request: web.Request) -> web.Response:
        """Over, until the customer writes again: `{"outcome"?}`."""
        agent, conversation_id, fields = await self._act(request)
        outcome = _read_outcome(fields) if fields.get("outcome") is not None else None
        row = await self._desk.close(conversation_id, agent, outcome)
        return web.json_response(standing(row))

    async def _identify(self, request: web.Request) -> Agent:
        return await self._agents.authenticate(request.headers.get("Authorization"))

    async def _act(self, request: web.Request) -> tuple[Agent, str, dict[str, Any]]:
        """Who acts, on which conversation, and the body ({} without one)."""
        agent = await self._identify(request)
        _check_acts(agent)
        fields = await body.read_object(request) if request.can_read_body else {}
        return agent, _conversation_id(request), fields


def _check_acts(agent: Agent) -> None:
    if not agent.may_take:
        raise RequestError(
            403,
            "Authorization",
            "a reviewer reads and does not act",
            "ask an administrator for the role agent",
        )


def standing(row: dict[str, Any]) -> dict[str, Any]:
    """How a conversation stands, from its row."""
    return {
        "id": row["id"],
        "channel": row["channel"],
        "status": row["status"],
        "reason": states.reason_of(row),
        "customer_id": row["customer_id"],
        "locale": row["locale"],
        "agent_id": row["agent_id"],
        "assignee_id": row["assignee_id"],
        "outcome": row["outcome"],
        **{
            name: None if row[name] is None else row[name].isoformat()
            for name in ("waiting_since", "taken_at", "handed_back_at", "created_at", "updated_at")
        },
    }


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    last = None
    if row["last_at"] is not None:
        last = {
            "author": row["last_author"],
            "text": row["last_text"],
            "created_at": row["last_at"].isoformat(),
        }
    return standing(row) | {"agent_name": row["agent_name"], "last_message": last}


def _conversation_id(request: web.Request) -> str:
    conversation_id = request.match_info["conversation_id"]
    # PostgreSQL takes no NUL, not even to look for it.
    if not conversation_id.isprintable():
        raise unknown_conversation()
    return conversation_id


def _read_status(request: web.Request) -> Status | None:
    raw = request.query.get("status")
    for status in _STATUSES:
        if raw == status:
            return status
    if raw is None:
        return None
    raise RequestError(
        400, "status", "there is no such status", f"send one of {', '.join(_STATUSES)}"
    )


def _read_after(request: web.Request) -> tuple[int, Any, str] | None:
    raw = request.query.get("after")
    if raw is None:
        return None
    cursor = read_cursor(raw)
    if cursor is None:
        raise RequestError(400, "after", "it is no cursor", "send next_after of the page before")
    return cursor


def _read_outcome(fields: dict[str, Any]) -> str:
    outcome = body.read_text(fields, "outcome", _MAX_OUTCOME_CHARS)
    if not outcome.isprintable():
        raise RequestError(
            400,
            "outcome",
            "it is not one printable line",
            f"send {', '.join(states.OUTCOMES)} or a label of your own",
        )
    return outcome.strip()
