"""Whom a conversation is meant for, and agents who give theirs to a colleague."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from bot import agents
from bot.agents import Agent
from bot.errors import RequestError
from bot.handoff import states
from bot.handoff.desk import Desk
from bot.log import handoff
from bot.log.handoff import Moved, Row, Step
from bot.log.journal import Journal
from bot.push import told
from bot.world import World


class Assignment:
    """Assigns and transfers; raises as the desk's moves do, and 422 for who cannot take one."""

    def __init__(self, journal: Journal, desk: Desk, world: World) -> None:
        self._journal = journal
        self._desk = desk
        self._world = world

    async def colleagues(self) -> list[dict[str, Any]]:
        """Who may have a conversation: `id`, `name` and `role`, by name."""
        return await self._journal.read(who_may_take)

    async def assign(self, conversation_id: str, agent: Agent, to: str | None) -> Row:
        """Mean a conversation that no agent has for one of them, who is told; None: for anyone.

        It stays in the queue or with the bot, and any agent may still take it.
        """

        def decide(connection: Connection, row: Row) -> states.Changes | None:
            if to is not None:
                _may_have(connection, to)
            return states.assign(row, assignee_id=to)

        moved = await self._desk.step(
            Step(
                conversation_id=conversation_id,
                decide=decide,
                trace=self._desk.trace(agent.id, "assign", {"to": to}),
            )
        )
        if not moved.done:
            raise await self._desk.refusal(moved.row, "ask the holder to transfer it")
        self._tell(moved, agent, to)
        return moved.row

    async def transfer(self, conversation_id: str, agent: Agent, to: str) -> Row:
        """From the holder straight to a colleague; an administrator may do it to another's.

        The customer is told. To whom has it already, nothing happens.
        """
        now = self._world.now()
        names: dict[str, str] = {}

        def decide(connection: Connection, row: Row) -> states.Changes | None:
            if row["agent_id"] != agent.id and agent.role != "administrator":
                return None
            names["other"] = str(_may_have(connection, to)["name"])
            names["name"] = handoff.agent_name(connection, row["agent_id"]) or "?"
            return states.transfer(row, agent_id=to, now=now)

        moved = await self._desk.step(
            Step(
                conversation_id=conversation_id,
                decide=decide,
                say=lambda _, row: [self._desk.notices(row).transferred(**names)],
                trace=self._desk.trace(agent.id, "transfer", {"to": to}),
            )
        )
        if moved.done:
            self._tell(moved, agent, to)
        elif moved.row["agent_id"] != to:
            raise await self._desk.refusal(
                moved.row, "only the holder or an administrator gives it to another"
            )
        return moved.row

    def _tell(self, moved: Moved, by: Agent, to: str | None) -> None:
        if to is not None and to != by.id:
            topic, event = told(to, moved.row["id"], by.name)
            self._journal.hub.publish(topic, event)


def who_may_take(connection: Connection) -> list[dict[str, Any]]:
    """Everyone with access who talks to customers: `id`, `name` and `role`, by name."""
    return [
        {"id": one["id"], "name": one["name"], "role": one["role"]}
        for one in agents.everyone(connection)
        if one["role"] != "reviewer"
    ]


def _may_have(connection: Connection, agent_id: str) -> Mapping[str, Any]:
    for one in who_may_take(connection):
        if one["id"] == agent_id:
            return one
    raise RequestError(
        422,
        "agent_id",
        "nobody with this id may have conversations",
        "choose an agent or an administrator who has access",
    )
