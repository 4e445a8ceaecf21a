"""The pages of models: versions, comparison, switching, training runs."""

import asyncio
import html
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from bot.console.models.figures import compared
from bot.log import tables, training_runs
from bot.world import utc_now
from tests.understanding_service import UnderstandingService
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import sign_in

OLD, NEW = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"
REPORT = {"model_version": NEW, "validation": {"intent": {"accuracy": 0.9}}}


@pytest.fixture
async def service() -> AsyncIterator[tuple[UnderstandingService, str]]:
    service = UnderstandingService([OLD, NEW])
    async with TestServer(service.app()) as server:
        yield service, str(server.make_url("/")).rstrip("/")


@pytest.fixture
async def site(
    service: tuple[UnderstandingService, str],
    start: Callable[..., Awaitable[Running]],
    tmp_path: Path,
) -> Running:
    token = SecretStr(service[0].admin_token)
    return await start(nlu_url=service[1], admin_token=token, models_dir=tmp_path / "models")


async def audited(site: Running, action: str) -> list[str]:
    query = tables.audit.select().where(tables.audit.c.action == action)
    rows = await site.gateway.journal.read(lambda c: list(c.execute(query).mappings()))
    return [row["target"] for row in rows]


async def test_versions_stand_with_their_figures_and_what_they_answered(site: Running) -> None:
    conversation = await site.converse()

    def unit(connection: Any) -> None:
        for number, intent in enumerate(["pay", "nlu_fallback", "pay", None]):
            message = {
                "id": f"m{number}",
                "conversation_id": conversation.id,
                "seq": 100 + number,
                "direction": "in",
                "author": "customer",
                "channel": "api",
                "account": conversation.id,
                "state": "answered",
                "created_at": utc_now(),
            }
            connection.execute(tables.message.insert(), message)
            turn = {
                "id": f"t{number}",
                "conversation_id": conversation.id,
                "inbound_id": f"m{number}",
                "text": "x",
                "intent": intent,
                "confidence": None if intent is None else 0.5,
                "model_version": NEW,
                "created_at": utc_now(),
            }
            connection.execute(tables.turn.insert(), turn)

    await site.gateway.journal.write(unit)
    ada = await sign_in(site)
    page = html.unescape(await ada.text("/models"))
    row = page.split(f'value="{NEW}"')[-1].split("</tr>")[0]
    cells = [cell.split("<")[0] for cell in row.split('<td class="number">')[1:]]
    assert cells == ["0.920", "0.900", "0.780", "0.950", "0.020", "4", "50%", "0.500"]
    assert f'id="active">{NEW}<' in page
    # Who may only read is offered nothing to press.
    assert "/promote" not in page
    assert "Train a new version" not in page


async def test_two_versions_side_by_side(site: Running) -> None:
    ada = await sign_in(site)
    page = await ada.text(f"/models/compare?left={OLD}&right={NEW}")
    accuracy = page.split("Intent accuracy")[1].split("</tr>")[0]
    assert "0.910" in accuracy
    assert accuracy.index("0.920") < accuracy.index("better")
    assert (await ada.get("/models/compare?left=x&right=y")).status == 404


async def test_less_calibration_error_is_better() -> None:
    def model(ece: float) -> dict[str, Any]:
        return {"validation": {"intent": {"accuracy": 0.9, "ece": ece}}}

    by_name = {one.name: one.better for one in compared(model(0.1), model(0.02))}
    assert by_name == {"intent_accuracy": None, "intent_ece": "right"}


async def test_rolling_back_asks_first_and_the_page_says_who_serves(
    site: Running, service: tuple[UnderstandingService, str]
) -> None:
    root = await sign_in(site, "Root", "administrator")
    page = await root.text("/models")
    assert f"Roll back to {OLD}" in page
    confirm = html.unescape(await root.text(f"/models/versions/{OLD}/promote"))
    assert "worse" in confirm
    assert service[0].activated == []
    done = await root.post(f"/models/versions/{OLD}/promote")
    assert done.headers["Location"] == "/console/models?notice=models.promoted"
    assert service[0].activated == [OLD]
    assert f'id="active">{OLD}<' in await root.text("/models/serving")
    assert await audited(site, "promote_model") == [OLD]
    assert (await root.post("/models/versions/none/promote")).status == 404


async def test_without_an_admin_token_the_pointer_moves(
    start: Callable[..., Awaitable[Running]],
    service: tuple[UnderstandingService, str],
    tmp_path: Path,
) -> None:
    running = await start(nlu_url=service[1], admin_token=None, models_dir=tmp_path / "models")
    root = await sign_in(running, "Root", "administrator")
    # No such bundle is on this disk: it is said, and nothing moves.
    refused = await root.post(f"/models/versions/{OLD}/promote")
    assert refused.status == 409
    assert not (tmp_path / "models" / "nlu" / "current").exists()


async def test_the_page_is_there_while_the_service_is_not(
    site: Running, service: tuple[UnderstandingService, str]
) -> None:
    service[0].down = True
    root = await sign_in(site, "Root", "administrator")
    assert "does not answer" in await root.text("/models")
    refused = await root.post(f"/models/versions/{OLD}/promote")
    assert refused.status == 404


async def test_a_training_is_started_followed_and_promoted_from_the_page(
    site: Running, service: tuple[UnderstandingService, str]
) -> None:
    root = await sign_in(site, "Root", "administrator")
    code = f"import sys; print('epoch 1', file=sys.stderr); print({json.dumps(json.dumps(REPORT))})"
    asked: list[Any] = []

    def command(options: Any, corrections: Path | None) -> list[str]:
        asked.append((options, corrections))
        return [sys.executable, "-c", code]

    site.gateway.training.command = command
    started = await root.post("/models/runs", epochs="2", promote="on")
    assert started.status == 303
    async with asyncio.timeout(20):
        while 'data-state="succeeded"' not in (page := await root.text("/models/runs")):
            await asyncio.sleep(0.05)
    assert "epoch 1" in page
    assert "hx-get" not in page
    assert service[0].activated == [NEW]
    ((options, corrections),) = asked
    assert (options.epochs, options.promote, options.corrections) == (2, True, False)
    assert corrections is None
    assert len(await audited(site, "start_training")) == 1


async def test_one_training_at_a_time_and_it_can_be_cancelled(site: Running) -> None:
    root = await sign_in(site, "Root", "administrator")
    site.gateway.training.command = lambda options, corrections: [
        sys.executable,
        "-c",
        "import time; time.sleep(60)",
    ]
    await root.post("/models/runs")
    page = await root.text("/models")
    assert 'hx-get="/console/models/runs"' in page
    again = await root.post("/models/runs")
    assert again.status == 409
    assert "going on already" in await again.text()
    run = await site.gateway.journal.read(training_runs.open_run)
    assert run is not None
    assert (await root.post(f"/models/runs/{run['id']}/cancel")).status == 303
    find = partial(training_runs.find, run_id=run["id"])
    async with asyncio.timeout(20):
        while ended := await site.gateway.journal.read(find):
            if ended["state"] == "cancelled":
                break
            await asyncio.sleep(0.05)
    assert await audited(site, "cancel_training") == [run["id"]]
    assert (await root.post("/models/runs", epochs="many")).status == 422
    assert (await root.post("/models/runs", epochs="9999")).status == 422
