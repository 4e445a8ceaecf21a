"""What an agent does to a conversation on its page."""

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from bot.console.conversation.pages import conversation_id
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.handoff import states
from bot.handoff.assignment import Assignment
from bot.handoff.desk import Desk
from bot.http import body
from bot.http.files import FileRoutes, FileStore
from bot.http.limits import Limits
from bot.intake import unknown_conversation
from bot.log import conversation_notes, surroundings
from bot.log.conversation_notes import NewNote
from bot.log.journal import Journal
from bot.log.records import Reply
from bot.push import NOTES
from bot.world import World

MOST_NOTE_CHARS = 4000
_MOST_BACK_NOTE_CHARS = 2000
_MOST_OUTCOME_CHARS = 60
_MOST_FILES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ActParts:
    """What the moves work with."""

    journal: Journal
    desk: Desk
    assignment: Assignment
    files: FileStore
    uploads: FileRoutes
    limits: Limits
    world: World


class Acts:
    """The moves of the desk, messages and notes; forms go back to the page, scripts get JSON."""

    def __init__(self, parts: ActParts) -> None:
        self._journal = parts.journal
        self._desk = parts.desk
        self._assignment = parts.assignment
        self._files = parts.files
        self._uploads = parts.uploads
        self._limits = parts.limits
        self._world = parts.world

    async def take(self, visit: Visit) -> web.StreamResponse:
        """Have it from now on."""
        work = self._desk.take(conversation_id(visit), visit.agent)
        return await self._do(visit, work, "taken")

    async def release(self, visit: Visit) -> web.StreamResponse:
        """Back into the queue."""
        work = self._desk.release(conversation_id(visit), visit.agent)
        return await self._do(visit, work, "released")

    async def assign(self, visit: Visit) -> web.StreamResponse:
        """Mean it for a colleague (`agent_id`), or with an empty one for anyone."""
        to = await visit.field("agent_id")
        work = self._assignment.assign(conversation_id(visit), visit.agent, to or None)
        return await self._do(visit, work, "assigned" if to else "unassigned")

    async def transfer(self, visit: Visit) -> web.StreamResponse:
        """Straight to a colleague."""
        to = await visit.field("agent_id")
        if not to:
            raise RequestError(422, "agent_id", "nobody was chosen", "choose a colleague")
        work = self._assignment.transfer(conversation_id(visit), visit.agent, to)
        return await self._do(visit, work, "transferred")

    async def say(self, visit: Visit) -> web.StreamResponse:
        """Write to the customer: `id`, `text`, and `attachments`, ids of files."""
        id_ = conversation_id(visit)
        form = await visit.form()
        message_id = body.read_id({"id": form.get("id", "")}, "id")
        given = [str(one) for one in form.getall("attachments", [])]
        ids = body.read_ids({"attachments": given}, "attachments", _MOST_FILES)
        text = await visit.field("text")
        if text or not ids:
            body.check_text(text, "text", self._limits.max_text_chars)
        files = await self._files.attachments(id_, ids)
        reply = Reply(id="", text=text or None, attachments=[*files] or None)
        return await self._do(visit, self._desk.say(id_, visit.agent, message_id, reply), "said")

    async def upload(self, visit: Visit) -> web.StreamResponse:
        """Keep the body as a file that the holder's next message can carry."""
        id_ = conversation_id(visit)
        await self._told(visit, self._desk.check_holder(id_, visit.agent))
        return await self._uploads.take_in(visit.request, id_)

    async def note(self, visit: Visit) -> web.StreamResponse:
        """Keep a private note: `id` and `text`."""
        key = body.read_id({"id": (await visit.form()).get("id", "")}, "id")
        text = body.check_text(await visit.field("text"), "text", MOST_NOTE_CHARS)
        return await self._do(visit, self._add_note(visit, key, text), "noted")

    async def hand_back(self, visit: Visit) -> web.StreamResponse:
        """The bot goes on: `outcome` or `other`, and `note`, which is kept as a private note."""
        outcome = await _outcome(visit)
        if outcome is None:
            raise RequestError(422, "outcome", "none was chosen", "say what came of it")
        note = await visit.field("note")
        if note:
            body.check_text(note, "note", _MOST_BACK_NOTE_CHARS)

        async def work() -> None:
            id_ = conversation_id(visit)
            await self._desk.hand_back(id_, visit.agent, outcome, note or None)
            if note:
                await self._add_note(visit, self._world.new_id(), note)

        return await self._do(visit, work(), "handed_back")

    async def close(self, visit: Visit) -> web.StreamResponse:
        """Over, until the customer writes again."""
        work = self._desk.close(conversation_id(visit), visit.agent, await _outcome(visit))
        return await self._do(visit, work, "closed")

    async def _add_note(self, visit: Visit, key: str, text: str) -> None:
        id_ = conversation_id(visit)
        note = NewNote(key=key, conversation_id=id_, agent_id=visit.agent.id, text=text)
        kept = await self._journal.write(
            partial(
                conversation_notes.add,
                note=note,
                audit_id=self._world.new_id(),
                now=self._world.now(),
            ),
            [(id_, NOTES)],
        )
        if kept is None:
            raise unknown_conversation()

    async def _do(self, visit: Visit, work: Awaitable[Any], notice: str) -> web.StreamResponse:
        await self._told(visit, work)
        if visit.wants_json:
            return visit.json({"done": visit.words(f"conversation.{notice}")})
        path = f"/conversations/{conversation_id(visit)}"
        return visit.redirect(path, notice=f"conversation.{notice}")

    async def _told(self, visit: Visit, work: Awaitable[Any]) -> None:
        """Do it; where the conversation is not the agent's to act on, say who has it."""
        try:
            await work
        except RequestError as error:
            if error.status != 409:
                raise
            raise await self._who_has_it(visit, error) from None

    async def _who_has_it(self, visit: Visit, error: RequestError) -> RequestError:
        id_ = conversation_id(visit)
        row = await self._journal.read(partial(surroundings.standing, conversation_id=id_))
        if row is None:
            return error
        words = visit.words
        if row["status"] == "agent":
            name = row["holder_name"] or words("shared.role.agent")
            message, remedy = words("conversation.has_it", name=name), "conversation.has_it_remedy"
        else:
            status = words.of("shared.status", row["status"])
            message, remedy = words("conversation.stands", status=status), "conversation.take_first"
        return RequestError(409, error.field, message, words(remedy))


async def _outcome(visit: Visit) -> str | None:
    """A label of the agent's own, or the one that was chosen."""
    outcome = await visit.field("other") or await visit.field("outcome")
    if not outcome:
        return None
    if len(outcome) > _MOST_OUTCOME_CHARS or not outcome.isprintable():
        raise RequestError(
            422,
            "other",
            f"it is not one line of at most {_MOST_OUTCOME_CHARS} characters",
            f"choose {', '.join(states.OUTCOMES)} or write a short label",
        )
    return outcome
