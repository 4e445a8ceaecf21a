"""The pages of the learning loop: runs with their verdicts, what answers, what may be done."""

import html
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from sqlalchemy import insert, select

from bot.console.learning import shown
from bot.log import dataset_versions, promotions, tables, training_runs
from nlu.bundle import MANIFEST, Manifest, write_json
from tests.integration.review_log import add_turn
from tests.understanding_service import UnderstandingService
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import sign_in

OLD, NEW = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"
LATER = "20260103-000000-cccccc"
VERDICT = {
    "decision": "refuse",
    "reasons": [
        {"name": "latency", "level": "pass", "sentence": "It answers as fast.", "figures": {}},
        {"name": "loss", "level": "refuse", "sentence": "It loses <2> points.", "figures": {}},
    ],
    "release": "none",
}
CHANGE = {
    "turn_id": "t-1",
    "champion": "track_order",
    "champion_confidence": 0.91,
    "challenger": "cancel_order",
    "challenger_confidence": 0.88,
    "champion_emotion": None,
    "challenger_emotion": "angry",
}


def manifest(version: str, parent: str | None) -> Manifest:
    """Of a bundle that has no files."""
    return Manifest(
        version=version,
        created_at="2026-01-01T00:00:00+00:00",
        base_model="minilm",
        embedder_id="words-1",
        embedding_dim=64,
        mode="cpu",
        max_tokens=64,
        seed=1,
        dataset_sha256="d" * 64,
        parent=parent,
        files={},
    )


class Service(UnderstandingService):
    """With a version on trial, and the models folder of its machine."""

    def __init__(self, models: Path) -> None:
        super().__init__([OLD, NEW, LATER])
        self.root = models / "nlu"
        self.tried: list[tuple[str, float]] = []
        parent = None
        for version in self.versions:
            (self.root / version).mkdir(parents=True)
            write_json(self.root / version, MANIFEST, asdict(manifest(version, parent)))
            parent = version
        self.point(NEW)

    def point(self, version: str) -> None:
        self.active = version
        (self.root / "current").write_text(version + "\n")

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_post("/v1/models/{version}/trial", self.try_out)
        app.router.add_delete("/v1/models/trial", self.end_trial)
        return app

    async def activate(self, request: web.Request) -> web.Response:
        self.point(request.match_info["version"])
        return await super().activate(request)

    async def try_out(self, request: web.Request) -> web.Response:
        told = await request.json()
        version = request.match_info["version"]
        self.tried.append((version, told["share"]))
        (self.root / "trial").write_text(json.dumps({"version": version, **told}))
        return web.json_response({})

    async def end_trial(self, request: web.Request) -> web.Response:
        return web.json_response({})


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path / "models")


@pytest.fixture
async def site(
    service: Service, start: Callable[..., Awaitable[Running]], tmp_path: Path
) -> AsyncIterator[Running]:
    async with TestServer(service.app()) as server:
        yield await start(
            nlu_url=str(server.make_url("/")).rstrip("/"),
            admin_token=SecretStr(service.admin_token),
            models_dir=tmp_path / "models",
        )


async def add_run(site: Running, id_: str = "r-1", **changes: Any) -> str:
    """A run of the loop that came to a verdict."""
    now = site.gateway.world.now()
    row: dict[str, Any] = {
        "id": id_,
        "kind": "learn",
        "state": "succeeded",
        "step": "release",
        "actor": "learning loop",
        "options": {"why": "period", "corrections": True, "epochs": None, "promote": False},
        "host": "h",
        "owner": "o",
        "verdict": VERDICT,
        "version": LATER,
        "dataset": "d-2",
        "created_at": now,
        "started_at": now,
        "seen_at": now,
        "finished_at": now + timedelta(seconds=90),
    }
    await site.gateway.journal.write(
        lambda c: c.execute(insert(tables.training_run), row | changes).rowcount
    )
    return id_


async def add_data(site: Running, version: str, parent: str | None, **sources: int) -> None:
    now = site.gateway.world.now()
    row = {
        "version": version,
        "parent": parent,
        "run_id": None,
        "sha256": "0" * 64,
        "rows": sum(sources.values()),
        "counts": {"source": sources, "intent": {"pay": sum(sources.values())}},
        "until": now,
        "created_at": now,
        "erased": 0,
    }
    await site.gateway.journal.write(partial(dataset_versions.register, row=row))


def keep_proof(site: Running, run_id: str, *changes: dict[str, Any]) -> None:
    shadow = {
        "turns": 2000,
        "changed": len(changes),
        "emotions_changed": 0,
        "pairs": [{"champion": "track_order", "challenger": "cancel_order", "count": 1}],
        "changes": list(changes),
    }
    folder = site.gateway.settings.state_dir / "learning" / run_id / "proof"
    folder.mkdir(parents=True)
    (folder / "proof.json").write_text(json.dumps({"format": 1, "shadow": shadow}))


async def audited(site: Running, action: str) -> list[str]:
    audit = tables.audit
    query = select(audit.c.target).where(audit.c.action == action)
    return await site.gateway.journal.read(lambda c: list(c.execute(query).scalars()))


async def newest(site: Running) -> dict[str, Any]:
    (row,) = await site.gateway.journal.read(partial(promotions.listing, limit=1))
    return row


async def test_an_empty_log_has_a_page_too(site: Running) -> None:
    for role in ("agent", "reviewer", "administrator"):
        visitor = await sign_in(site, role, role)
        page = await visitor.text("/learning")
        assert "The loop has not run yet" in page
        assert ("Run now" in page) == (role == "administrator")
        assert ("Roll back" in page) == (role == "administrator")


async def test_runs_stand_with_step_verdict_and_error(site: Running) -> None:
    await add_run(site)
    await add_run(
        site, "r-2", state="running", slot=1, step="train", verdict=None, lines=["epoch 3 of 9"]
    )
    ada = await sign_in(site, "Ada", "administrator")
    page = html.unescape(await ada.text("/learning"))
    first, second = page.split('data-run="')[1:3]
    assert first.startswith("r-2")
    assert "trains" in first
    assert "epoch 3 of 9" in first
    assert "refused" in second
    assert "by the period" in second
    # It is asked again while something goes on, and not when nothing does.
    assert 'hx-get="/console/learning/runs"' in page
    await site.gateway.journal.write(
        partial(
            training_runs.finish,
            run_id="r-2",
            state="failed",
            values={"error": "train: no <memory>"},
            now=site.gateway.world.now(),
        )
    )
    runs = await ada.text("/learning/runs")
    assert "train: no &lt;memory&gt;" in runs
    assert "hx-get" not in runs


async def test_runs_of_the_loop_stand_among_the_trainings(site: Running) -> None:
    await add_run(site, options={"why": "drift"})
    ada = await sign_in(site)
    page = await ada.text("/models")
    assert "a run of the learning loop" in page
    assert "with corrections" not in page.split("a run of the learning loop")[1]


async def test_one_run_shows_its_verdict_the_worst_first(site: Running) -> None:
    await add_run(site)
    ben = await sign_in(site, "Ben", "reviewer")
    page = await ben.text("/learning/runs/r-1")
    assert "It loses &lt;2&gt; points." in page
    assert page.index("It loses") < page.index("It answers as fast")
    assert "against it" in page
    assert "90 s" in page
    # Promoting is for administrators.
    assert "/promote" not in page
    root = await sign_in(site, "Root", "administrator")
    assert f"/models/versions/{LATER}/promote" in await root.text("/learning/runs/r-1")
    assert await audited(site, "read_learning_run") == ["r-1", "r-1"]
    assert (await ben.get("/learning/runs/nothing")).status == 404


async def test_the_data_stand_beside_their_parents(site: Running) -> None:
    await add_data(site, "d-1", None, corrected=10, pseudo=5)
    await add_data(site, "d-2", "d-1", corrected=14, pseudo=5)
    await add_run(site)
    ben = await sign_in(site, "Ben", "reviewer")
    page = await ben.text("/learning/runs/r-1")
    row = page.split("corrected by a person")[1].split("</tr>")[0]
    cells = [cell.split("<")[0] for cell in row.split('<td class="number">')[1:]]
    assert cells == ["14", "10", "+4"]
    assert "19 rows in d-2" in page
    assert "Its parent d-1 had 15" in page


async def test_changed_predictions_show_the_words_that_the_log_still_has(site: Running) -> None:
    await add_run(site)
    keep_proof(site, "r-1", CHANGE, CHANGE | {"turn_id": "t-gone"})
    await site.gateway.journal.write(partial(add_turn, id_="t-1", text="stop <my> parcel"))
    ben = await sign_in(site, "Ben", "reviewer")
    page = await ben.text("/learning/runs/r-1")
    assert "stop &lt;my&gt; parcel" in page
    assert 'href="/console/review/turns/t-1"' in page
    assert "no longer in the log" in page
    assert "t-gone" not in page
    assert "Of the last 2000 messages 2" in page


async def test_a_proof_that_is_not_here_or_not_whole_is_left_out(site: Running) -> None:
    await add_run(site)
    ben = await sign_in(site, "Ben", "reviewer")
    assert "What would change" not in await ben.text("/learning/runs/r-1")
    assert (await ben.get("/learning/runs/r-1/proof")).status == 404
    keep_proof(site, "r-1")
    (site.gateway.settings.state_dir / "learning/r-1/proof/proof.json").write_text("{")
    assert "What would change" not in await ben.text("/learning/runs/r-1")


async def test_a_canary_is_begun_shown_with_its_figures_and_ended(
    site: Running, service: Service
) -> None:
    root = await sign_in(site, "Root", "administrator")
    begun = await root.post("/learning/canary", version=LATER, share="20")
    assert begun.headers["Location"] == "/console/learning?notice=learning.canary_begun"
    assert service.tried == [(LATER, 0.2)]
    trial = await newest(site)
    assert (trial["kind"], trial["share"], trial["actor"]) == ("canary", 0.2, "Root")
    page = html.unescape(await root.text("/learning"))
    assert "answers 20% of the conversations" in page
    assert "There are no figures yet" in page
    side = {"conversations": 50, "rated": 1, "rating": 4.5, "understanding_ms": 12.0}
    report = {
        "standing": "nothing is worse so far; 3.0 hours to go",
        "sides": {
            "active": side | {"version": NEW, "harms": {"fallback": 5}},
            "trial": side | {"version": LATER, "harms": {"fallback": 10}},
        },
    }
    await site.gateway.journal.write(partial(promotions.note, id_=trial["id"], report=report))
    page = html.unescape(await root.text("/learning"))
    assert "3.0 hours to go" in page
    row = page.split("a message not understood")[1].split("</tr>")[0]
    assert row.index("5 (10%)") < row.index("10 (20%)")
    # A second one is refused while it goes on.
    assert (await root.post("/learning/canary", version=OLD, share="20")).status == 409
    assert (await root.post("/learning/trial/end")).status == 303
    assert (await newest(site))["state"] == "ended"
    assert service.active == NEW
    assert await audited(site, "start_canary") == [LATER]
    assert await audited(site, "end_trial") == [NEW]
    assert (await root.post("/learning/trial/end")).status == 409


@pytest.mark.parametrize("share", ["", "0", "51", "x", "-5", "500", "٥"])
async def test_a_share_that_is_none_is_refused(site: Running, service: Service, share: str) -> None:
    root = await sign_in(site, "Root", "administrator")
    assert (await root.post("/learning/canary", version=LATER, share=share)).status == 422
    assert service.tried == []


async def test_a_version_that_is_not_there_cannot_be_tried(site: Running) -> None:
    root = await sign_in(site, "Root", "administrator")
    assert (await root.post("/learning/canary", version="../x", share="10")).status == 404
    assert (await root.post("/learning/canary", version=NEW, share="10")).status == 409


async def test_what_is_tried_can_be_for_everyone(site: Running, service: Service) -> None:
    root = await sign_in(site, "Root", "administrator")
    await root.post("/learning/canary", version=LATER, share="20")
    assert (await root.post("/learning/trial/promote")).status == 303
    assert service.active == LATER
    assert (await newest(site))["state"] == "promoted"
    assert await audited(site, "promote_model") == [LATER]
    assert LATER in await root.text("/learning")


async def test_the_version_before_answers_again(site: Running, service: Service) -> None:
    root = await sign_in(site, "Root", "administrator")
    await root.post(f"/models/versions/{LATER}/promote")
    assert service.active == LATER
    row = await newest(site)
    assert (row["kind"], row["version"], row["previous"], row["actor"]) == (
        "full",
        LATER,
        NEW,
        "Root",
    )
    back = await root.post("/learning/roll-back", reason="odd answers")
    assert back.headers["Location"] == "/console/learning?notice=learning.rolled_back"
    assert (service.root / "current").read_text().strip() == NEW
    row = await newest(site)
    assert (row["kind"], row["version"], row["reason"]) == ("rollback", NEW, "odd answers")
    assert await audited(site, "roll_back_model") == [NEW]
    assert "odd answers" in await root.text("/learning")
    # Before the first there is none.
    service.point(OLD)
    assert (await root.post("/learning/roll-back")).status == 409


def test_reasons_may_be_sentences_alone() -> None:
    (found,) = shown.findings({"decision": "nothing_new", "reasons": ["nothing new"]})
    assert (found.name, found.level, found.sentence) == ("", "nothing_new", "nothing new")
    assert shown.findings(None) == []


def test_without_a_parent_all_rows_are_new() -> None:
    rows = shown.counted({"source": {"corrected": 3, "pseudo": 9}}, None, "source")
    assert [(one.name, one.now, one.difference) for one in rows] == [
        ("pseudo", 9, 9),
        ("corrected", 3, 3),
    ]


def test_a_kind_that_is_gone_is_a_loss() -> None:
    (row,) = shown.counted({"intent": {}}, {"intent": {"pay": 4}}, "intent")
    assert (row.now, row.before, row.difference) == (0, 4, -4)


def beginning(site: Running, run_id: str) -> list[str]:
    """A process that begins a run: it makes one of a row that is there."""
    path = site.gateway.settings.database_url.removeprefix("sqlite:///")
    change = "UPDATE training_run SET kind='learn', state='running', slot=1 WHERE id=?"
    code = f"import sqlite3; c = sqlite3.connect({path!r}); "
    return [sys.executable, "-c", f"{code}c.execute({change!r}, [{run_id!r}]); c.commit()"]


async def test_a_run_is_begun_by_hand_and_can_be_stopped(site: Running) -> None:
    root = await sign_in(site, "Root", "administrator")
    await add_run(site, "r-new", kind="train", step="harvest", verdict=None, finished_at=None)
    site.gateway.by_hand.command = lambda: beginning(site, "r-new")
    begun = await root.post("/learning/runs")
    assert begun.headers["Location"] == "/console/learning?notice=learning.run_begun"
    assert await audited(site, "run_learning") == ["r-new"]
    page = await root.text("/learning")
    assert "gathers new turns" in page
    assert "disabled>Run now" in page
    again = await root.post("/learning/runs")
    assert again.status == 409
    assert "going on already" in await again.text()
    assert (await root.post("/learning/runs/r-new/cancel")).status == 303
    run = await site.gateway.journal.read(partial(training_runs.find, run_id="r-new"))
    assert run is not None
    assert run["cancel_by"] == "Root"
    assert await audited(site, "cancel_learning") == ["r-new"]
    assert "being cancelled" in await root.text("/learning")
    assert (await root.post("/learning/runs/nothing/cancel")).status == 409


async def test_a_run_that_cannot_begin_says_why(site: Running) -> None:
    root = await sign_in(site, "Root", "administrator")
    code = "import sys; sys.exit('Error: no model serves yet')"
    site.gateway.by_hand.command = lambda: [sys.executable, "-c", code]
    refused = await root.post("/learning/runs", json=True)
    assert refused.status == 409
    assert (await refused.json())["error"]["message"] == "no model serves yet"
    assert await audited(site, "run_learning") == []
    site.gateway.by_hand.command = lambda: ["/no/such/program"]
    assert (await root.post("/learning/runs")).status == 503
