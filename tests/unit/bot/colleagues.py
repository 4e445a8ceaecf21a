"""Agents and customers as the tests of the handoff need them."""

from typing import Any

from bot import agents
from bot.agents import Role
from bot.world import sortable_id, utc_now
from tests.unit.bot.conftest import Conversation, Running

BASE = "/api/v1/agent"


class Colleague:
    """An agent with a token."""

    def __init__(self, running: Running, id_: str, token: str) -> None:
        self.client = running.client
        self.id = id_
        self.headers = {"Authorization": f"Bearer {token}"}

    async def do(self, conversation: Conversation, what: str, **body: Any) -> tuple[int, Any]:
        response = await self.client.post(
            f"{BASE}/conversations/{conversation.id}/{what}", json=body, headers=self.headers
        )
        return response.status, await response.json()

    async def get(self, path: str) -> tuple[int, Any]:
        response = await self.client.get(BASE + path, headers=self.headers)
        return response.status, await response.json()


async def employ(running: Running, name: str, role: Role = "agent") -> Colleague:
    """Add an agent."""
    journal = running.gateway.journal

    def unit(connection: Any) -> Any:
        return agents.add(connection, id_=sortable_id(), name=name, role=role, now=utc_now())

    agent, token = await journal.write(unit)
    return Colleague(running, agent.id, token)


async def call(conversation: Conversation, what: str = "handoff") -> tuple[int, Any]:
    """The customer's own buttons."""
    response = await conversation.client.post(
        f"/api/v1/conversations/{conversation.id}/{what}", json={}, headers=conversation.headers
    )
    return response.status, await response.json()
