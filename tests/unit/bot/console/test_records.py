"""Each look at and change of personal data leaves its audit row: tried route by route."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.log import tables
from tests.unit.bot.colleagues import employ as with_token
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.route_table import AGENT_API, CONSOLE, Cell
from tests.unit.bot.console.visitors import Visitor, employ, sign_in

RECORDED = {name: cell for name, cell in CONSOLE.items() if cell.record is not None}
TRIED = {name: cell for name, cell in RECORDED.items() if cell.tested is None}
TAKEN = re.compile(r"/(release|transfer|hand-back|close)$")


async def actions_of(running: Running, actor: str) -> list[str]:
    audit = tables.audit
    query = select(audit.c.action).where(audit.c.actor == actor)
    return await running.gateway.journal.read(lambda c: list(c.execute(query).scalars()))


async def one(running: Running, query: Any) -> str:
    return str(await running.gateway.journal.read(lambda c: c.execute(query).scalars().first()))


async def ids(running: Running, name: str) -> dict[str, str]:
    """A customer's conversation with a turn, a colleague, and another browser of one's own."""
    customer = await running.converse()
    await customer.say("m-1", "where is my candle?")
    turn, session, agent = tables.turn, tables.session, tables.agent
    of_conversation = turn.c.conversation_id == customer.id
    colleague = await employ(running, "Colleague")
    me = await one(running, select(agent.c.id).where(agent.c.name == name))
    await sign_in(running, id_=me)
    newest = select(session.c.id).where(session.c.agent_id == me).order_by(session.c.id.desc())
    return {
        "conversation_id": customer.id,
        "turn_id": await one(running, select(turn.c.id).where(of_conversation)),
        "agent_id": colleague,
        "session_id": await one(running, newest),
    }


def fill(text: str, known: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: known[found[1]], text)


@pytest.mark.parametrize("name", TRIED)
async def test_it_is_on_record(running: Running, name: str) -> None:
    cell: Cell = CONSOLE[name]
    ada: Visitor = await sign_in(running, "Ada", "administrator")
    known = await ids(running, "Ada")
    method, path = name.split(" ")
    if TAKEN.search(path):
        response = await ada.post(fill("/conversations/{conversation_id}/take", known))
        assert response.status == 303
    address = fill(path + cell.query, known)
    before = await actions_of(running, ada.id)
    assert cell.record not in before
    if method == "GET":
        response = await ada.get(address)
    else:
        assert cell.form is not None, "give the table a form, or name the test that does it"
        form = {key: fill(value, known) for key, value in cell.form.items()}
        response = await ada.post(address, **form)
    assert response.status < 400, await response.text()
    assert cell.record in await actions_of(running, ada.id)


def test_what_is_tried_elsewhere_is_tried_there() -> None:
    folders = (Path(__file__).parent, Path(__file__).parents[3] / "integration")
    missing = []
    for name, cell in RECORDED.items():
        if cell.tested is None:
            continue
        files = [path for folder in folders for path in folder.glob(cell.tested)]
        if not any(f'"{cell.record}"' in path.read_text("utf-8") for path in files):
            missing.append((name, cell.record, cell.tested))
    assert missing == []


async def test_a_look_that_was_refused_is_not_on_record_as_one(running: Running) -> None:
    ben = await sign_in(running, "Ben", "agent")
    assert (await ben.get("/audit")).status == 403
    assert (await ben.get("/conversations/nothing")).status == 404
    assert await actions_of(running, ben.id) == []


async def test_a_transcript_read_with_a_token_is_on_record_too(running: Running) -> None:
    anna = await with_token(running, "Anna")
    customer = await running.converse()
    for name, cell in AGENT_API.items():
        if cell.record is None:
            continue
        path = name.removeprefix("GET ").replace("{conversation_id}", customer.id)
        assert (await anna.get(path))[0] == 200
        assert cell.record in await actions_of(running, anna.id)
