"""Training runs on both databases: one at a time, followed, cancelled, and found again."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot.errors import RequestError, StorageError
from bot.learning import runs as runs_module
from bot.learning.process import RunProcess, launch
from bot.learning.runs import Options, RunParts, TrainingRuns
from bot.log import training_runs
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World, utc_now

REPORT = {"model_version": "v2", "validation": {"intent": {"accuracy": 0.9}}}
DONE = f"""
import sys, json
print("training intent on 12 texts", file=sys.stderr)
print({json.dumps(json.dumps(REPORT))})
"""
# Says what it is at, goes on until a file appears, then ends well.
UNTIL = """
import os, pathlib, sys, time
print("epoch 1 of 3", file=sys.stderr, flush=True)
go = pathlib.Path(sys.argv[1])
while not go.exists():
    time.sleep(0.02)
"""
FAILS = "import sys; print('Error: data/nlu.yml: no such file', file=sys.stderr); sys.exit(1)"
# Has done all and is only slow to end.
DONE_LATE = (
    DONE
    + """
import time
sys.stdout.flush()
print("saved", file=sys.stderr, flush=True)
time.sleep(600)
"""
)
HALF = 'import sys; sys.stdout.write(\'{"model_version": "v\')'


@dataclass
class Learned:
    """Corrections of two turns, and what versions were trained on."""

    written: list[Path] = field(default_factory=list)
    versions: dict[str, Sequence[str]] = field(default_factory=dict)
    go: asyncio.Event = field(default_factory=asyncio.Event)  # cleared: writing waits for it

    def __post_init__(self) -> None:
        self.go.set()

    async def write(self, folder: Path) -> list[str]:
        await self.go.wait()
        (folder / "nlu.yml").write_text("secret words of a customer")
        self.written.append(folder)
        return ["t1", "t2"]

    async def seen(self, version: str, turn_ids: Sequence[str]) -> None:
        self.versions[version] = turn_ids


@dataclass
class Site:
    """A gateway's runs, and what they reached."""

    runs: TrainingRuns
    journal: Journal
    learned: Learned
    promoted: list[str]
    promoting: asyncio.Event  # cleared: promoting waits for it
    folder: Path

    def train_with(self, code: str, *arguments: str) -> None:
        self.runs.command = lambda options, corrections: [sys.executable, "-c", code, *arguments]

    async def run(self, run_id: str) -> dict[str, Any]:
        row = await self.journal.read(partial(training_runs.find, run_id=run_id))
        assert row is not None
        return row

    async def until(self, run_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                row = await self.run(run_id)
                if holds(row):
                    return row
                await asyncio.sleep(0.02)

    async def ended(self, run_id: str) -> dict[str, Any]:
        return await self.until(run_id, lambda row: row["slot"] is None)

    async def going(self, run_id: str) -> dict[str, Any]:
        return await self.until(run_id, lambda row: bool(row["lines"]))


Open = Callable[..., Awaitable[Site]]


@pytest.fixture
async def open_site(database_url: str, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a gateway's part; called twice it is another gateway on the same machine."""
    upgrade(database_url)
    settings = Settings(
        _env_file=None,
        state_dir=tmp_path / "state",
        models_dir=tmp_path / "models",
        database_url=database_url,
    )
    async with AsyncExitStack() as stack:

        async def open_one(world: World | None = None) -> Site:
            journal = Journal(
                write_engine=open_engine(database_url, writer=True),
                read_engine=open_engine(database_url),
                world=World(),
            )
            journal.start()
            stack.push_async_callback(journal.close)
            promoted: list[str] = []
            promoting = asyncio.Event()
            promoting.set()
            learned = Learned()

            async def promote(version: str) -> None:
                await promoting.wait()
                promoted.append(version)

            parts = RunParts(
                journal=journal,
                settings=settings,
                world=world or World(),
                corrections=learned,
                promote=promote,
            )
            runs = TrainingRuns(parts, look_s=0.02, renew_s=0.02)
            runs.start()
            stack.push_async_callback(runs.close)
            folder = settings.state_dir / "training"
            return Site(runs, journal, learned, promoted, promoting, folder)

        yield open_one


async def test_a_run_leaves_its_version_metrics_and_lines(open_site: Open) -> None:
    site = await open_site()
    site.train_with(DONE)
    run_id = await site.runs.begin(Options(promote=False), actor="Ada")
    run = await site.ended(run_id)
    assert (run["state"], run["version"], run["promoted"]) == ("succeeded", "v2", False)
    assert run["metrics"]["validation"] == REPORT["validation"]
    assert run["lines"] == ["training intent on 12 texts"]
    assert run["started_at"] <= run["finished_at"]
    assert (site.learned.versions, site.promoted) == ({"v2": ["t1", "t2"]}, [])
    # The customers' words it was given are gone.
    await site.runs.close()
    assert site.learned.written
    assert list(site.folder.iterdir()) == []


async def test_it_promotes_only_when_asked_to(open_site: Open) -> None:
    site = await open_site()
    site.train_with(DONE)
    run = await site.ended(
        await site.runs.begin(Options(promote=True, corrections=False), actor="Ada")
    )
    assert (run["promoted"], site.promoted) == (True, ["v2"])
    assert (site.learned.written, site.learned.versions) == ([], {})


async def test_the_trainer_is_told_epochs_and_corrections(tmp_path: Path) -> None:
    command = runs_module.train_command(Options(epochs=3), tmp_path)
    assert command[-4:] == ["--epochs", "3", "--corrections", str(tmp_path)]
    assert "--no-activate" in command
    assert "--epochs" not in runs_module.train_command(Options(), None)


@pytest.mark.parametrize(
    ("code", "error"),
    [(FAILS, "Error: data/nlu.yml: no such file"), (HALF, "its process is gone")],
)
async def test_a_run_that_fails_says_why(open_site: Open, code: str, error: str) -> None:
    site = await open_site()
    site.train_with(code)
    run = await site.ended(await site.runs.begin(Options(), actor="Ada"))
    assert run["state"] == "failed"
    assert run["error"].startswith(error)
    assert site.learned.versions == {}


async def test_a_trainer_that_is_not_there_fails_the_run(open_site: Open) -> None:
    site = await open_site()
    site.runs.command = lambda options, corrections: ["/no/such/program"]
    run = await site.ended(await site.runs.begin(Options(), actor="Ada"))
    assert (run["state"], run["error"][:23]) == ("failed", "it cannot be started: [")


async def test_one_at_a_time_also_from_several_gateways_at_once(
    open_site: Open, tmp_path: Path
) -> None:
    sites = [await open_site() for _ in range(3)]
    go = tmp_path / "go"
    for site in sites:
        site.train_with(UNTIL, str(go))
    begun = await asyncio.gather(
        *(site.runs.begin(Options(), actor="Ada") for site in sites), return_exceptions=True
    )
    refused = [one for one in begun if isinstance(one, RequestError)]
    assert [one.status for one in refused] == [409, 409]
    (run_id,) = (one for one in begun if isinstance(one, str))
    await sites[0].going(run_id)
    go.touch()
    # It printed no report.
    assert (await sites[1].ended(run_id))["state"] == "failed"
    sites[2].train_with(DONE)
    again = await sites[2].runs.begin(Options(), actor="Ada")
    assert (await sites[0].ended(again))["state"] == "succeeded"


async def test_its_lines_are_read_while_it_runs_and_it_is_polite(
    open_site: Open, tmp_path: Path
) -> None:
    site = await open_site()
    site.train_with(UNTIL, str(tmp_path / "go"))
    run_id = await site.runs.begin(Options(), actor="Ada")
    run = await site.going(run_id)
    assert (run["state"], run["lines"]) == ("running", ["epoch 1 of 3"])
    assert psutil.Process(run["process_id"]).nice() == 10
    await site.runs.cancel(run_id, actor="Ada")
    await site.ended(run_id)


async def test_any_gateway_cancels_and_nothing_of_it_stays(open_site: Open, tmp_path: Path) -> None:
    site, other = await open_site(), await open_site()
    site.train_with(UNTIL, str(tmp_path / "go"))
    run_id = await site.runs.begin(Options(), actor="Ada")
    pid = (await site.going(run_id))["process_id"]
    leftover = tmp_path / "models" / "nlu" / f".v2.{pid}.tmp"
    leftover.mkdir(parents=True)
    await other.runs.cancel(run_id, actor="Rita")
    run = await other.ended(run_id)
    assert (run["state"], run["cancel_by"]) == ("cancelled", "Rita")
    assert not psutil.pid_exists(pid)
    await site.runs.close()
    assert not leftover.exists()
    assert not any(site.folder.iterdir())
    with pytest.raises(RequestError, match="has ended"):
        await site.runs.cancel(run_id, actor="Ada")


async def test_a_run_that_was_done_when_it_was_cancelled_keeps_its_version(
    open_site: Open,
) -> None:
    site = await open_site()
    site.train_with(DONE_LATE)
    run_id = await site.runs.begin(Options(promote=True), actor="Ada")
    await site.until(run_id, lambda row: "saved" in (row["lines"] or ()))
    await site.runs.cancel(run_id, actor="Rita")
    run = await site.ended(run_id)
    assert (run["state"], run["version"], run["promoted"]) == ("succeeded", "v2", False)
    # What it was trained on is known, and it does not serve.
    assert (site.learned.versions, site.promoted) == ({"v2": ["t1", "t2"]}, [])
    assert not psutil.pid_exists(run["process_id"])


async def test_a_run_is_looked_after_while_corrections_are_written_and_it_is_promoted(
    open_site: Open,
) -> None:
    site = await open_site()
    site.train_with(DONE)
    site.learned.go.clear()
    site.promoting.clear()
    run_id = await site.runs.begin(Options(promote=True), actor="Ada")
    begun = (await site.until(run_id, lambda row: row["state"] == "running"))["seen_at"]
    writing = (await site.until(run_id, lambda row: row["seen_at"] > begun))["seen_at"]
    assert site.learned.written == []
    site.learned.go.set()
    async with asyncio.timeout(30):
        while not site.learned.versions:
            await asyncio.sleep(0.02)
    collected = (await site.until(run_id, lambda row: row["seen_at"] > writing))["seen_at"]
    await site.until(run_id, lambda row: row["seen_at"] > collected)
    assert site.promoted == []
    site.promoting.set()
    assert (await site.ended(run_id))["promoted"]


@pytest.mark.parametrize("outcome", ["refused", "failed"])
async def test_a_process_that_cannot_be_noted_is_stopped(
    open_site: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    launched: list[RunProcess] = []
    note = training_runs.note

    def note_no_process(connection: Any, **asked: Any) -> bool:
        if "process_id" not in asked["values"]:
            return note(connection, **asked)
        if outcome == "failed":
            raise StorageError("the disk is full")
        return False

    def launch(*arguments: Any, **options: Any) -> RunProcess:
        launched.append(runs_launch(*arguments, **options))
        return launched[-1]

    runs_launch = runs_module.launch
    monkeypatch.setattr(training_runs, "note", note_no_process)
    monkeypatch.setattr(runs_module, "launch", launch)
    site = await open_site()
    site.train_with(UNTIL, str(tmp_path / "go"))
    run = await site.ended(await site.runs.begin(Options(), actor="Ada"))
    assert (run["state"], run["process_id"]) == ("failed", None)
    (process,) = launched
    assert not process.is_alive()
    await site.runs.close()
    assert not any(site.folder.iterdir())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="starts are told by the clock")
def test_a_process_stays_the_same_when_the_clock_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that looks like the fields after it.
    program = tmp_path / "a) S 1 (b"
    program.write_text("#!/bin/sh\nsleep 600\n")
    program.chmod(0o755)
    process = launch([str(program)], os.environ, out=tmp_path / "out", log=tmp_path / "log")
    try:
        told = psutil.Process.create_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda self: told(self) + 3600)
        assert process.is_alive()
        # Another process under its number is not it.
        assert not RunProcess(pid=process.pid, since=process.since - 1).is_alive()
    finally:
        process.stop()
    assert not process.is_alive()


async def test_a_run_goes_on_while_its_gateway_is_restarted(
    open_site: Open, tmp_path: Path
) -> None:
    site = await open_site()
    go = tmp_path / "go"
    code = UNTIL + DONE
    site.train_with(code, str(go))
    run_id = await site.runs.begin(Options(promote=True), actor="Ada")
    pid = (await site.going(run_id))["process_id"]
    await site.runs.close()
    assert psutil.pid_exists(pid)
    later = replace(World(), now=lambda: utc_now() + timedelta(seconds=60))
    after = await open_site(later)
    await after.until(run_id, lambda row: row["owner"] == after.runs._owner)
    assert (await after.run(run_id))["state"] == "running"
    go.touch()
    run = await after.ended(run_id)
    assert (run["state"], run["version"]) == ("succeeded", "v2")
    assert (after.promoted, after.learned.versions) == (["v2"], {"v2": ["t1", "t2"]})


async def test_a_run_whose_process_was_killed_is_told_as_failed(
    open_site: Open, tmp_path: Path
) -> None:
    site = await open_site()
    site.train_with(UNTIL, str(tmp_path / "go"))
    run_id = await site.runs.begin(Options(), actor="Ada")
    pid = (await site.going(run_id))["process_id"]
    await site.runs.close()
    os.killpg(pid, signal.SIGKILL)
    later = replace(World(), now=lambda: utc_now() + timedelta(seconds=60))
    run = await (await open_site(later)).ended(run_id)
    assert (run["state"], run["version"]) == ("failed", None)


async def test_what_an_ended_run_left_on_disk_goes_at_the_next_start(open_site: Open) -> None:
    site = await open_site()
    left = site.folder / "a run that is not there"
    left.mkdir(parents=True)
    (left / "nlu.yml").write_text("a customer's words")
    await site.runs.close()
    await (await open_site()).runs.close()
    assert not left.exists()


async def test_a_run_of_a_machine_that_is_gone_is_given_up(open_site: Open) -> None:
    site = await open_site()
    await site.runs.close()
    row = {
        "id": "r1",
        "actor": "Ada",
        "options": {"corrections": False, "epochs": None, "promote": False},
        "host": "another",
        "owner": "somebody",
        "created_at": utc_now(),
        "seen_at": utc_now() - timedelta(minutes=1),
    }
    await site.journal.write(partial(training_runs.begin, row=row))
    fresh = await open_site()
    with pytest.raises(RequestError, match="going on already"):
        await fresh.runs.begin(Options(), actor="Ada")
    later = replace(World(), now=lambda: utc_now() + timedelta(minutes=2))
    run = await (await open_site(later)).ended("r1")
    assert run["state"] == "failed"
    assert "another" in run["error"]


async def test_epochs_out_of_range_are_refused(open_site: Open) -> None:
    with pytest.raises(RequestError, match="from 1 to"):
        await (await open_site()).runs.begin(Options(epochs=1000), actor="Ada")
