"""Moves conversations between bot, queue and agents, each move in one transaction."""

import hashlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection

from bot.agents import Agent
from bot.errors import RequestError, StorageError, TurnRefused
from bot.handoff import states
from bot.handoff.notices import Notices
from bot.handoff.policy import Policy
from bot.intake import unknown_conversation
from bot.log import handoff, reader
from bot.log.handoff import Moved, Row, Step, Trace
from bot.log.journal import Journal
from bot.log.records import Reply, Speech
from bot.push import AGENTS, MESSAGES, QUEUE, STATUS
from bot.turns import Dialogue, HandBack
from bot.world import World

logger = logging.getLogger(__name__)

# As many are told at once that their place in the queue has changed.
_MOST_TOLD = 200


class Desk:
    """What customers, agents and the clock do to a conversation's state.

    Every method raises StorageError, and RequestError: 404 without such a conversation, 409 or 403
    where its state or its holder does not allow the move.
    """

    def __init__(
        self,
        journal: Journal,
        dialogue: Dialogue,
        policy: Policy,
        redact: Callable[[str], str],
        world: World,
    ) -> None:
        self._journal = journal
        self._dialogue = dialogue
        self._redact = redact
        self._world = world
        self.policy = policy

    async def ask(self, conversation_id: str) -> Row:
        """The customer calls for a person, past the bot; a second call changes nothing."""
        now = self._world.now()
        hours = self.policy.hours
        if not self.policy.wait_when_closed and not hours.is_open(now):
            step = Step(
                conversation_id=conversation_id,
                decide=lambda _, row: {} if states.allows(row, "ask") else None,
                say=lambda _, row: [self.notices(row).stays_with_bot(now)],
            )
            return (await self.step(step)).row

        def decide(connection: Connection, row: Row) -> states.Changes | None:
            changes = states.ask(row, reason="asked", now=now)
            if changes is None:
                return None
            place = self.place(connection, {**row, **changes})
            return {**changes, "queue_told": place, "queue_told_at": now}

        step = Step(
            conversation_id=conversation_id,
            decide=decide,
            say=lambda _, row: self.notices(row).called(now, row["queue_told"]),
        )
        return (await self.step(step)).row

    async def take(self, conversation_id: str, agent: Agent) -> Row:
        """The agent has the conversation from now on; the first of two who try."""
        now = self._world.now()
        moved = await self.step(
            Step(
                conversation_id=conversation_id,
                decide=lambda _, row: states.take(row, agent_id=agent.id, now=now),
                say=lambda _, row: [self.notices(row).joined(agent.name)],
                trace=self.trace(agent.id, "take"),
            )
        )
        row = moved.row
        if moved.done:
            await self.tell_places()
        elif row["agent_id"] != agent.id:
            raise await self.refusal(row, "take it when it is free again")
        return row

    async def release(self, conversation_id: str, agent: Agent) -> Row:
        """Back into the queue; an administrator may do it to another's."""

        def may(_: Connection, row: Row) -> bool:
            return row["agent_id"] == agent.id or agent.role == "administrator"

        moved = await self.put_back(conversation_id, "release", may, agent.id)
        if not moved.done:
            raise await self.refusal(moved.row, "ask the holder or an administrator to release it")
        return moved.row

    async def put_back(
        self,
        conversation_id: str,
        move: Literal["release", "fall_silent"],
        may: Callable[[Connection, Row], bool],
        actor: str,
    ) -> Moved:
        """From an agent into the queue, where `may` says so under the lock."""
        now = self._world.now()
        name = "?"

        def decide(connection: Connection, row: Row) -> states.Changes | None:
            nonlocal name
            if not may(connection, row):
                return None
            name = handoff.agent_name(connection, row["agent_id"]) or name
            return states.put_back(row, move, now=now)

        moved = await self.step(
            Step(
                conversation_id=conversation_id,
                decide=decide,
                say=lambda _, row: [self.notices(row).put_back(now, name)],
                trace=self.trace(actor, move),
            )
        )
        if moved.done:
            await self.tell_places()
        return moved

    async def hand_back(
        self, conversation_id: str, agent: Agent, outcome: str, note: str | None
    ) -> Row:
        """The bot goes on, and is told what came of it before its next turn."""
        now = self._world.now()

        def decide(_: Connection, row: Row) -> states.Changes | None:
            if row["agent_id"] != agent.id:
                return None
            event_id = self._world.new_id()
            return states.end(row, "hand_back", outcome=outcome, event_id=event_id, now=now)

        detail = {"outcome": outcome} | ({"note": self._redact(note)} if note else {})
        moved = await self.step(
            Step(
                conversation_id=conversation_id,
                decide=decide,
                say=lambda _, row: [self.notices(row).handed_back(agent.name)],
                trace=self.trace(agent.id, "hand_back", detail),
            )
        )
        if not moved.done:
            raise await self.refusal(moved.row, "take the conversation first")
        return moved.row

    async def close(
        self, conversation_id: str, agent: Agent | None, outcome: str | None = None
    ) -> Row:
        """Closed by the customer (no agent), the holder, or any agent while nobody has it."""
        now = self._world.now()
        waited = False

        def decide(_: Connection, row: Row) -> states.Changes | None:
            nonlocal waited
            if agent is not None and row["agent_id"] not in (None, agent.id):
                return None
            waited = row["status"] == "waiting"
            return states.end(
                row,
                "close",
                outcome=outcome or states.CLOSED,
                event_id=self._world.new_id(),
                now=now,
            )

        detail = {"outcome": outcome} if outcome else None
        moved = await self.step(
            Step(
                conversation_id=conversation_id,
                decide=decide,
                # A customer who has just closed it knows.
                say=lambda _, row: [] if agent is None else [self.notices(row).closed()],
                trace=self.trace("customer" if agent is None else agent.id, "close", detail),
            )
        )
        if not moved.done and moved.row["status"] != "closed":
            raise await self.refusal(moved.row, "ask the holder to close it")
        if moved.done and waited:
            await self.tell_places()
        return moved.row

    async def say(self, conversation_id: str, agent: Agent, message_id: str, reply: Reply) -> Row:
        """The row of an agent's message; the same message id again gives the same row."""
        key = f"{conversation_id}\0{agent.id}\0{message_id}"
        # The row's id is the agent's own in disguise: the database then keeps it single.
        row_id = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:28]
        own = Reply(
            id=row_id,
            text=reply.text,
            attachments=reply.attachments,
            author="agent",
            agent_id=agent.id,
        )
        spoken = await self._journal.write(
            partial(
                handoff.speak,
                speech=Speech(conversation_id=conversation_id, replies=[own], redact=self._redact),
                agent_id=agent.id,
                sending=self._journal.sending,
                now=self._world.now(),
            ),
            [(conversation_id, MESSAGES)],
            self._to_outbox,
        )
        if spoken is None:
            raise unknown_conversation()
        conversation, rows = spoken
        if not rows:
            raise await self.refusal(conversation, "take the conversation first")
        if rows[0]["text"] != reply.text:
            raise RequestError(
                422,
                "id",
                "this id was used for another text",
                "give every message an id of its own; repeat an id only with the same text",
            )
        return {**rows[0], "agent_name": agent.name}

    async def check_holder(self, conversation_id: str, agent: Agent) -> None:
        """Pass only the agent who has the conversation."""
        row = await self._journal.conversation(conversation_id)
        if row is None:
            raise unknown_conversation()
        if row["status"] != "agent" or row["agent_id"] != agent.id:
            raise await self.refusal(row, "take the conversation first")

    async def typing(self, conversation_id: str, agent: Agent) -> None:
        """Show the customer that the holder is writing."""
        await self.check_holder(conversation_id, agent)
        self._journal.hub.publish(conversation_id, {"type": "typing", "author": "agent"})

    async def queue_of(self, conversation_id: str) -> dict[str, Any] | None:
        """`{"position", "open"}` of a conversation that waits, else None."""

        def query(connection: Connection) -> int | None:
            row = reader.conversation(connection, conversation_id=conversation_id)
            waits = row is not None and row["status"] == "waiting"
            return self.place(connection, row) if row is not None and waits else None

        place = await self._journal.read(query)
        if place is None:
            return None
        return {"position": place, "open": self.policy.hours.is_open(self._world.now())}

    async def settle_hand_back(self, conversation: Row) -> None:
        """Before a turn: tell the dialogue of a hand-back that it does not know of yet.

        Raises TurnUnavailable. Told twice, after a crash in between, it is still one.
        """
        event_id = conversation["hand_back_id"]
        if event_id is None:
            return
        event = HandBack(
            conversation_id=conversation["id"],
            event_id=event_id,
            outcome=conversation["outcome"] or states.CLOSED,
            slots={"handoff_rest": self.policy.rest_messages},
        )
        try:
            await self._dialogue.hand_back(event)
        except TurnRefused as error:
            # It would be refused again each time: the turn is worth more.
            logger.error(
                "hand-back refused", extra={"conversation": event.conversation_id, "error": error}
            )
        try:
            await self._journal.write(
                partial(
                    handoff.settle_hand_back,
                    conversation_id=event.conversation_id,
                    event_id=event_id,
                )
            )
        except StorageError as error:
            logger.warning("hand-back not settled yet", extra={"error": str(error)})

    async def step(self, step: Step) -> Moved:
        """Do a step, and tell everyone whom it concerns once it is on disk."""
        moved = await self._journal.write(
            partial(handoff.move, step=step, sending=self._journal.sending, now=self._world.now()),
            [
                (step.conversation_id, MESSAGES),
                (step.conversation_id, STATUS),
                (AGENTS, QUEUE),
            ],
            self._to_outbox,
        )
        if moved is None:
            raise unknown_conversation()
        return moved

    async def tell_places(self) -> None:
        """Have everyone who waits look where they stand now."""
        try:
            waiting = await self._journal.read(
                partial(handoff.queue, upset_first=self.policy.upset_first)
            )
            if waiting:
                events = [(row["id"], STATUS) for row in waiting[:_MOST_TOLD]]
                await self._journal.write(lambda connection: True, events)
        except (StorageError, TimeoutError) as error:
            # The next change tells them.
            logger.warning("places not told", extra={"error": str(error)})

    def place(self, connection: Connection, row: Row) -> int:
        """Where a waiting conversation stands, from 1."""
        return handoff.position(connection, row=row, upset_first=self.policy.upset_first)

    def notices(self, row: Row) -> Notices:
        """The words for a conversation's customer."""
        return Notices(hours=self.policy.hours, new_id=self._world.new_id, locale=row["locale"])

    def trace(self, actor: str, action: str, detail: dict[str, Any] | None = None) -> Trace:
        """The audit row of a move."""
        return Trace(id=self._world.new_id(), actor=actor, action=action, detail=detail)

    def _to_outbox(self, result: object) -> None:
        if self._journal.sending:
            self._journal.on_outbox()

    async def refusal(self, row: Row, remedy: str) -> RequestError:
        """Why a move was not possible: another has it (409 with the name), or the state."""
        if row["status"] != "agent":
            return RequestError(
                409, "conversation_id", f"the conversation's status is {row['status']}", remedy
            )
        name = await self._journal.read(
            lambda connection: handoff.agent_name(connection, row["agent_id"])
        )
        return RequestError(
            409, "conversation_id", f"{name or 'someone else'} has the conversation", remedy
        )
