"""A training run of the real trainer on a few texts: a new version, and what serves stays whole."""

import asyncio
import csv
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.learning.runs import Options, RunParts, TrainingRuns
from bot.log import training_runs
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World
from nlu.bundle import BundleStore, open_bundle

INTENTS = """version: "3.1"
nlu:
- intent: greet
  examples: |
    - hello
    - hello there
    - hi there
    - good morning
    - hi you
    - good day
- intent: pay
  examples: |
    - can i pay by card
    - do you take paypal
    - is visa fine
    - pay with visa please
    - i pay by paypal
    - may i pay later
"""
CORRECTION = """version: "3.1"
nlu:
- intent: complain
  examples: |
    - hi you
    - this is awful
    - what a mess
    - i am not happy with it
    - bad, bad, bad
"""


class Corrected:
    """Corrections that bring a new intent."""

    def __init__(self) -> None:
        self.seen_by: dict[str, Sequence[str]] = {}

    async def write(self, folder: Path) -> list[str]:
        (folder / "nlu.yml").write_text(CORRECTION)
        return ["t1"]

    async def seen(self, version: str, turn_ids: Sequence[str]) -> None:
        self.seen_by[version] = turn_ids


class Trained:
    """Runs with a data folder of their own, and the versions they make."""

    def __init__(self, runs: TrainingRuns, journal: Journal, store: BundleStore) -> None:
        self.runs = runs
        self.journal = journal
        self.store = store
        self.corrected = Corrected()

    async def until(self, run_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(400):
            while True:
                run = await self.journal.read(partial(training_runs.find, run_id=run_id))
                assert run is not None
                if holds(run):
                    return run
                await asyncio.sleep(0.05)


@pytest.fixture
async def trained(tmp_path: Path) -> AsyncIterator[Trained]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "nlu.yml").write_text(INTENTS)
    with (data / "emotion.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "emotion"])
        for number in range(6):
            writer.writerows([[f"i hate this {number}", "angry"], [f"lovely {number}", "happy"]])
    url = f"sqlite:///{tmp_path / 'kefu.db'}"
    settings = Settings(
        _env_file=None,
        state_dir=tmp_path / "state",
        data_dir=data,
        models_dir=tmp_path / "models",
        database_url=url,
        device="cpu",
    )
    upgrade(url)
    journal = Journal(
        write_engine=open_engine(url, writer=True), read_engine=open_engine(url), world=World()
    )
    journal.start()
    store = BundleStore(settings.models_dir)

    async def promote(version: str) -> None:
        store.activate(version)

    corrected = Corrected()
    parts = RunParts(
        journal=journal,
        settings=settings,
        world=World(),
        corrections=corrected,
        promote=promote,
    )
    runs = TrainingRuns(parts, look_s=0.05)
    runs.start()
    found = Trained(runs, journal, store)
    found.corrected = corrected
    yield found
    await runs.close()
    await journal.close()


async def test_runs_make_versions_and_a_killed_one_leaves_what_serves(trained: Trained) -> None:
    store = trained.store
    first = await trained.until(
        await trained.runs.begin(Options(epochs=1, corrections=False, promote=True), actor="Root"),
        lambda run: run["slot"] is None,
    )
    assert first["state"] == "succeeded", first
    assert store.current() == first["version"]
    second = await trained.until(
        await trained.runs.begin(Options(epochs=1), actor="Root"),
        lambda run: run["slot"] is None,
    )
    assert second["state"] == "succeeded", second
    # It was not asked to be promoted.
    assert store.current() == first["version"]
    bundle = open_bundle(store.folder(second["version"]))
    assert bundle.manifest.parent == first["version"]
    assert "complain" in bundle.labels.intent
    assert "complain" not in open_bundle(store.folder(first["version"])).labels.intent
    assert trained.corrected.seen_by == {second["version"]: ["t1"]}
    assert second["metrics"]["validation"]["intent"]["n"] > 0
    third_id = await trained.runs.begin(Options(epochs=1, promote=True), actor="Root")
    going = await trained.until(third_id, lambda run: "training" in str(run["lines"]))
    os.killpg(going["process_id"], signal.SIGKILL)
    third = await trained.until(third_id, lambda run: run["slot"] is None)
    assert third["state"] == "failed"
    assert store.current() == first["version"]
    assert store.versions() == sorted([first["version"], second["version"]])
    open_bundle(store.folder(first["version"]))
    await trained.runs.close()
    assert list(store.root.glob(".*.tmp")) == []
