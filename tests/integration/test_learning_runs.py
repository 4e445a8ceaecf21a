"""Runs of the learning loop on both databases: step by step, one at a time, killed and taken up."""

import asyncio
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import insert, select

from bot.errors import RequestError, StorageError
from bot.learning import loop as loop_module
from bot.learning.corrections import ReviewedTurns
from bot.learning.errors import NoChampion, RunGoesOn
from bot.learning.exposed import inherit, note
from bot.learning.loop import Loop
from bot.learning.loop_parts import LoopParts, Pace
from bot.learning.process import launch
from bot.learning.run_folder import RunFolder
from bot.learning.runs import Options, RunParts, TrainingRuns
from bot.log import exposure, learning_runs, tables, training_runs
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World, utc_now
from nlu.bundle import BundleStore

PROCESS = Path(__file__).with_name("learning_process.py")
# Writes its report at once; says that it was done. Arguments: report, its file, the list.
STEP = """
import pathlib, sys
pathlib.Path(sys.argv[3]).open("a").write(sys.argv[4] + "\\n")
pathlib.Path(sys.argv[2]).write_text(sys.argv[1])
"""
FAILS = "import sys; sys.exit('rows.jsonl: line 3 is no row')"
GAIN = {"name": "gain", "level": "promote", "sentence": "+1.2 points", "figures": {}}
HANGS = "import time; time.sleep(600)"


@dataclass
class Released:
    """What was made to serve, and how."""

    current: str | None = "v1"
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    trial: dict[str, Any] | None = None
    refuses: str | None = None
    changes: list[str] = field(default_factory=list)

    def champion(self) -> str | None:
        return self.current

    async def promote(
        self, version: str, *, actor: str, run_id: str | None = None, reason: str | None = None
    ) -> None:
        if self.refuses:
            raise RequestError(503, "version", self.refuses, "try again")
        self.calls.append(("promote", version, run_id, reason))
        self.current = version

    async def start_canary(
        self, version: str, *, share: float, actor: str, run_id: str | None = None
    ) -> None:
        self.calls.append(("canary", version, run_id, share))

    async def open_trial(self) -> dict[str, Any] | None:
        return self.trial


@dataclass
class House:
    """A loop whose steps are told what to report."""

    loop: Loop
    journal: Journal
    settings: Settings
    released: Released
    done: Path
    reports: dict[str, dict[str, Any]]
    code: dict[str, str]
    exposed: list[str]

    def command(self, step: str, run_id: str) -> list[str]:
        out = RunFolder(self.settings.state_dir, run_id).report_of(step)
        code = self.code.get(step, STEP)
        report = json.dumps(self.reports[step])
        return [sys.executable, "-S", "-E", "-c", code, report, str(out), str(self.done), step]

    def steps(self) -> list[str]:
        return self.done.read_text().split() if self.done.exists() else []

    async def run(self, why: Any = "hand") -> dict[str, Any]:
        return await self.loop.drive(await self.loop.begin(actor="Ada", why=why))

    async def row(self, run_id: str) -> dict[str, Any]:
        row = await self.journal.read(partial(training_runs.find, run_id=run_id))
        assert row is not None
        return row

    async def until(self, run_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while not holds(row := await self.row(run_id)):
                await asyncio.sleep(0.02)
            return row

    def folder(self, run_id: str) -> RunFolder:
        return RunFolder(self.settings.state_dir, run_id)


Open = Callable[..., Awaitable[House]]


@pytest.fixture
async def open_house(database_url: str, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a loop; called twice it is another process's on the same machine."""
    upgrade(database_url)
    async with AsyncExitStack() as stack:

        async def open_one(
            world: World | None = None, pace: Pace | None = None, **settings: Any
        ) -> House:
            found = Settings(
                _env_file=None,
                state_dir=tmp_path / "state",
                models_dir=tmp_path / "models",
                database_url=database_url,
                **settings,
            )
            journal = Journal(
                write_engine=open_engine(database_url, writer=True),
                read_engine=open_engine(database_url),
                world=World(),
            )
            journal.start()
            stack.push_async_callback(journal.close)
            released, exposed = Released(), []

            async def expose(journal: Journal, settings: Settings, run: dict[str, Any]) -> None:
                exposed.append(run["version"])

            parts = LoopParts(
                journal=journal,
                settings=found,
                world=world or World(),
                release=released,
                champion=released.champion,
                expose=expose,
            )
            quick = Pace(look_s=0.01, renew_s=0.02, adopt_after_s=0.1)
            house = House(
                loop=Loop(
                    parts, command=lambda step, run: house.command(step, run), pace=pace or quick
                ),
                journal=journal,
                settings=found,
                released=released,
                done=tmp_path / "done",
                reports={
                    "harvest": {"rows": 3},
                    "guard": {"kept": 2, "new": 1, "held": {}},
                    "seal": {"dataset": "d1"},
                    "train": {"model_version": "v2", "validation": {"intent": {"accuracy": 0.9}}},
                    "prove": {"champion": "v1", "decision": "promote", "reasons": [GAIN]},
                },
                code={},
                exposed=exposed,
            )
            return house

        yield open_one


async def test_an_ended_run_leaves_so_many_versions_on_disk(
    open_house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await open_house(learn_keep=1)
    store = BundleStore(house.settings.models_dir)
    for name in ("v1", "v2", "v3"):
        (store.root / name).mkdir(parents=True)
        (store.root / name / "manifest.json").write_text("{}")
    store.activate("v1")
    # The run makes v2, which is neither the newest nor in use.
    assert (await house.run())["state"] == "succeeded"
    assert store.versions() == ["v1", "v3"]

    def fails(store: BundleStore, version: str) -> int:
        raise PermissionError(version)

    monkeypatch.setattr(BundleStore, "remove", fails)
    (store.root / "v2").mkdir()
    (store.root / "v2" / "manifest.json").write_text("{}")
    assert (await house.run())["state"] == "succeeded"
    assert "v2" in store.versions()


async def test_a_run_goes_through_its_steps_and_waits_for_a_person(open_house: Open) -> None:
    house = await open_house()
    run = await house.run()
    assert house.steps() == ["harvest", "guard", "seal", "train", "prove"]
    assert (run["kind"], run["state"], run["step"]) == ("learn", "succeeded", "release")
    assert (run["dataset"], run["version"], run["promoted"]) == ("d1", "v2", False)
    assert run["verdict"] == {
        "decision": "promote",
        "reasons": [GAIN],
        "release": "person",
    }
    assert run["metrics"]["validation"] == {"intent": {"accuracy": 0.9}}
    assert (house.released.calls, set(house.exposed)) == ([], {"v2"})
    assert run["slot"] is None
    assert not house.folder(run["id"]).path.exists()


@pytest.mark.parametrize(
    ("release", "calls"),
    [("everyone", ("promote", "+1.2 points")), ("canary", ("canary", 0.25))],
)
async def test_a_proven_version_is_released_as_the_setting_says(
    open_house: Open, release: str, calls: tuple[str, Any]
) -> None:
    house = await open_house(learn_release=release, learn_canary_share=0.25)
    run = await house.run()
    assert house.released.calls == [(calls[0], "v2", run["id"], calls[1])]
    assert (run["verdict"]["release"], run["promoted"]) == (release, release == "everyone")


async def test_what_was_released_before_a_kill_is_not_released_again(open_house: Open) -> None:
    house = await open_house(learn_release="canary")
    house.released.trial = {"version": "v2"}
    assert (await house.run())["verdict"]["release"] == "canary"
    # The live guard promoted it meanwhile.
    house.released.trial, house.released.current = None, "v2"
    assert (await house.run())["promoted"]
    assert house.released.calls == []


@pytest.mark.parametrize("decision", ["hold", "refuse"])
async def test_what_is_not_proven_changes_nothing(open_house: Open, decision: str) -> None:
    house = await open_house(learn_release="everyone")
    house.reports["prove"]["decision"] = decision
    run = await house.run()
    assert (house.released.calls, run["promoted"], run["version"]) == ([], False, "v2")
    assert run["verdict"] == {"decision": decision, "reasons": [GAIN], "release": "none"}


QUESTIONS = {"champion": "v1", "turns": ["t1", "t2"], "differ": 20, "replayed": 100}


async def test_a_version_that_people_were_asked_about_is_proven_again(open_house: Open) -> None:
    house = await open_house(learn_release="everyone")
    house.reports["prove"] |= {"decision": "hold", "questions": QUESTIONS}
    first = await house.run()
    assert (first["promoted"], first["verdict"]["questions"]) == (False, QUESTIONS)
    # Both are gone from the log, so nobody is waited for.
    again = await house.loop.answered()
    assert again is not None
    assert again["id"] == first["id"]
    house.done.unlink()
    house.reports["prove"] = {"champion": "v1", "decision": "promote", "reasons": [GAIN]}
    run_id = await house.loop.begin(actor="Ada", why="answers", again=again)
    assert (await house.row(run_id))["options"]["questions"] == QUESTIONS
    run = await house.loop.drive(run_id)
    assert house.steps() == ["prove"]
    assert (run["state"], run["promoted"], run["version"]) == ("succeeded", True, "v2")
    assert (run["dataset"], run["options"]["again"]) == ("d1", first["id"])
    assert house.released.current == "v2"
    assert await house.loop.answered() is None
    # It made nothing: the next one is due a period after the one that did.
    made = await house.journal.read(partial(learning_runs.latest_made, limit=5))
    assert [row["id"] for row in made] == [first["id"]]
    last = await house.journal.read(partial(training_runs.last_success, with_corrections=True))
    assert last is not None
    assert last["id"] == first["id"]


async def test_a_second_proof_that_fails_leaves_the_version_known(open_house: Open) -> None:
    house = await open_house(learn_release="everyone")
    house.reports["prove"] |= {"decision": "hold", "questions": QUESTIONS}
    again = await house.run()
    house.code["prove"] = FAILS
    run_id = await house.loop.begin(actor="Ada", why="answers", again=again)
    run = await house.loop.drive(run_id)
    assert (run["state"], run["version"], house.released.calls) == ("failed", "v2", [])


async def test_a_newer_run_or_another_champion_waits_for_no_answers(open_house: Open) -> None:
    house = await open_house()
    house.reports["prove"] |= {"decision": "hold", "questions": QUESTIONS}
    await house.run()
    house.released.current = "by hand"
    assert await house.loop.answered() is None
    house.released.current = "v1"
    assert await house.loop.answered() is not None
    del house.reports["prove"]["questions"]
    await house.run()
    assert await house.loop.answered() is None


async def test_a_release_that_is_refused_is_told(open_house: Open) -> None:
    house = await open_house(learn_release="everyone")
    house.released.refuses = "it does not load"
    run = await house.run()
    assert (run["state"], run["promoted"], run["verdict"]["release"]) == (
        "succeeded",
        False,
        "none",
    )
    assert "it does not load" in run["error"]


async def test_without_a_new_turn_nothing_is_trained(open_house: Open) -> None:
    house = await open_house()
    house.reports["guard"] |= {"new": 0}
    run = await house.run()
    assert (house.steps(), run["state"], run["version"]) == (
        ["harvest", "guard"],
        "succeeded",
        None,
    )
    assert run["verdict"]["decision"] == "nothing_new"
    house.done.unlink()
    # Drift is a reason by itself.
    assert (await house.run("drift"))["version"] == "v2"
    assert house.steps() == ["harvest", "guard", "seal", "train", "prove"]


async def test_an_empty_log_teaches_nothing(open_house: Open) -> None:
    house = await open_house()
    house.reports["harvest"] = {"rows": 0}
    run = await house.run("drift")
    assert (house.steps(), run["state"], run["version"]) == (["harvest"], "succeeded", None)


@pytest.mark.parametrize("why", ["hand", "drift"])
async def test_when_all_is_held_back_nothing_is_trained(open_house: Open, why: str) -> None:
    house = await open_house()
    house.reports["guard"] = {"kept": 0, "new": 0, "held": {"trigger": 2, "influence": 1}}
    run = await house.run(why)
    assert (house.steps(), run["version"]) == (["harvest", "guard"], None)
    (reason,) = run["verdict"]["reasons"]
    assert "3 turns are held back" in reason["sentence"]


async def test_a_step_that_fails_ends_the_run_with_its_last_line(open_house: Open) -> None:
    house = await open_house()
    house.code["seal"] = FAILS
    run = await house.run()
    assert (run["state"], run["step"]) == ("failed", "seal")
    assert run["error"] == "seal: rows.jsonl: line 3 is no row"
    assert not house.folder(run["id"]).path.exists()
    house.code.clear()
    assert (await house.run())["state"] == "succeeded"


async def test_a_version_whose_proof_fails_is_known_to_have_seen_its_turns(
    open_house: Open,
) -> None:
    house = await open_house()
    house.code["prove"] = FAILS
    run = await house.run()
    assert (run["state"], run["version"], set(house.exposed)) == ("failed", "v2", {"v2"})


async def test_another_version_that_came_to_serve_is_proven_against(open_house: Open) -> None:
    house = await open_house(learn_release="everyone")
    house.reports["prove"]["champion"] = "v0"
    run = await house.run()
    # v1 serves all the time, and it is never the one that the proof speaks of.
    assert (run["state"], house.released.calls) == ("failed", [])
    assert house.steps().count("prove") == loop_module.PROOFS
    house.reports["prove"]["champion"] = "v1"
    assert (await house.run())["promoted"]


async def test_one_at_a_time_with_trainings_and_other_loops(open_house: Open) -> None:
    house, other = await open_house(), await open_house()
    house.code["train"] = HANGS
    run_id = await house.loop.begin(actor="Ada", why="hand")
    with pytest.raises(RunGoesOn, match=run_id):
        await other.loop.begin(actor="Rita", why="hand")
    runs = TrainingRuns(_parts(house), look_s=0.02)
    with pytest.raises(RequestError, match="going on already"):
        await runs.begin(Options(), actor="Rita")
    driving = asyncio.create_task(house.loop.drive(run_id))
    await house.until(run_id, lambda row: row["step"] == "train")
    # Its process lives: nobody takes it up.
    assert await other.loop.take_up() is None
    await house.journal.write(partial(training_runs.ask_cancel, run_id=run_id, by="Rita"))
    assert (await driving)["state"] == "cancelled"


async def test_several_loops_that_begin_at_once_are_let_one_by_one(open_house: Open) -> None:
    houses = [await open_house() for _ in range(3)]
    begun = await asyncio.gather(
        *(house.loop.begin(actor="Ada", why="hand") for house in houses), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in begun) == ["RunGoesOn", "RunGoesOn", "str"]


async def test_a_cancelled_run_ends_its_process_and_leaves_no_words(open_house: Open) -> None:
    house = await open_house()
    house.code["train"] = HANGS
    run_id = await house.loop.begin(actor="Ada", why="hand")
    driving = asyncio.create_task(house.loop.drive(run_id))
    pid = (await _training(house, run_id))["process_id"]
    folder = house.folder(run_id)
    folder.kept.write_text("a customer's words")
    folder.proof.mkdir()
    await house.journal.write(partial(training_runs.ask_cancel, run_id=run_id, by="Rita"))
    run = await driving
    assert (run["state"], run["cancel_by"], run["slot"]) == ("cancelled", "Rita", None)
    assert not psutil.pid_exists(pid)
    assert [entry.name for entry in folder.path.iterdir()] == ["proof"]


async def test_without_a_model_there_is_nothing_to_improve(open_house: Open) -> None:
    house = await open_house()
    house.released.current = None
    with pytest.raises(NoChampion, match="kefu train"):
        await house.loop.begin(actor="Ada", why="hand")
    assert await house.journal.read(training_runs.open_run) is None


async def test_a_stopped_loop_stops_its_process_and_the_run_goes_on_later(
    open_house: Open,
) -> None:
    house = await open_house()
    house.code["train"] = HANGS
    run_id = await house.loop.begin(actor="Ada", why="hand")
    driving = asyncio.create_task(house.loop.drive(run_id))
    pid = (await _training(house, run_id))["process_id"]
    driving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await driving
    assert not psutil.pid_exists(pid)
    assert (await house.row(run_id))["state"] == "running"
    later = await open_house(replace(World(), now=lambda: utc_now() + timedelta(seconds=60)))
    assert await later.loop.take_up() == run_id
    run = await later.loop.drive(run_id)
    # What was done is not done again.
    assert later.steps() == ["harvest", "guard", "seal", "train", "prove"]
    assert run["state"] == "succeeded"


async def test_a_run_goes_on_when_the_database_answers_again(
    open_house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await open_house()
    run_id = await house.loop.begin(actor="Ada", why="hand")
    noted = training_runs.note

    def note_not(*arguments: Any, **asked: Any) -> bool:
        raise StorageError("the disk is full")

    monkeypatch.setattr(training_runs, "note", note_not)
    with pytest.raises(StorageError):
        await house.loop.drive(run_id)
    monkeypatch.setattr(training_runs, "note", noted)
    assert await house.loop.take_up() == run_id
    assert (await house.loop.drive(run_id))["state"] == "succeeded"


async def test_a_run_of_a_machine_that_is_gone_is_given_up(open_house: Open) -> None:
    house = await open_house()
    await house.journal.write(partial(learning_runs.begin, row=_row(host="another")))
    assert await house.loop.take_up() is None
    with pytest.raises(RunGoesOn, match="another"):
        await house.loop.begin(actor="Ada", why="hand")
    later = await open_house(replace(World(), now=lambda: utc_now() + timedelta(minutes=3)))
    assert await later.loop.take_up() is None
    row = await later.row("r1")
    assert (row["state"], "another" in row["error"]) == ("failed", True)


async def test_a_run_is_taken_up_when_its_process_is_gone_not_when_it_is_slow(
    open_house: Open, tmp_path: Path
) -> None:
    house = await open_house()
    command = [sys.executable, "-S", "-E", "-c", HANGS]
    slow = launch(command, os.environ, out=tmp_path / "out", log=tmp_path / "log")
    try:
        row = _row(host=platform.node(), seen_at=utc_now() - timedelta(hours=1))
        row["owner"] = f"{slow.pid} {slow.since} x"
        await house.journal.write(partial(learning_runs.begin, row=row))
        assert await house.loop.take_up() is None
        with pytest.raises(RunGoesOn):
            await house.loop.begin_or_take_up(actor="Ada", why="hand")
    finally:
        slow.stop()
    assert await house.loop.begin_or_take_up(actor="Ada", why="hand") == "r1"


async def test_a_run_whose_process_has_just_died_is_waited_for(open_house: Open) -> None:
    house = await open_house()
    row = _row(host=platform.node(), seen_at=utc_now())
    await house.journal.write(partial(learning_runs.begin, row=row))
    assert await house.loop.begin_or_take_up(actor="Ada", why="hand") == "r1"


async def test_a_loop_whose_run_was_taken_lets_go(open_house: Open) -> None:
    house = await open_house()
    house.code["train"] = HANGS
    run_id = await house.loop.begin(actor="Ada", why="hand")
    driving = asyncio.create_task(house.loop.drive(run_id))
    process = await _training(house, run_id)
    row = await house.row(run_id)

    def take(connection: Any) -> None:
        connection.execute(
            tables.training_run.update()
            .where(tables.training_run.c.id == run_id)
            .values(owner="1 0.0 x")
        )

    await house.journal.write(take)
    row = await driving
    assert (row["state"], row["owner"]) == ("running", "1 0.0 x")
    # It is the other's now.
    assert psutil.pid_exists(process["process_id"])
    os.killpg(process["process_id"], signal.SIGKILL)


async def test_gateways_leave_a_run_of_the_loop_alone_until_nobody_looks_after_it(
    open_house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.learning.runs.IDLE_S", 0.05)
    house = await open_house()
    house.code["train"] = HANGS
    run_id = await house.loop.begin(actor="Ada", why="hand")
    driving = asyncio.create_task(house.loop.drive(run_id))
    pid = (await _training(house, run_id))["process_id"]
    runs = TrainingRuns(_parts(house), look_s=0.02, abandoned_after_s=0.5)
    runs.start()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(driving), 1.0)
    assert (await house.row(run_id))["state"] == "running"
    # As after SIGKILL of the loop: its process goes on, and nobody sees to it.
    house.loop._pace = replace(house.loop._pace, renew_s=600, look_s=600)
    house.folder(run_id).kept.write_text("a customer's words")
    monitor = await house.until(run_id, lambda row: row["slot"] is None)
    await runs.close()
    assert monitor["state"] == "failed"
    assert "nobody" in monitor["error"]
    assert not psutil.pid_exists(pid)
    driving.cancel()
    await asyncio.gather(driving, return_exceptions=True)
    assert not house.folder(run_id).path.exists()


async def test_what_ended_runs_left_is_cleared(open_house: Open) -> None:
    house = await open_house()
    left = house.folder("gone")
    left.make()
    left.candidates.write_text("a customer's words")
    run_id = await house.loop.begin(actor="Ada", why="hand")
    house.folder(run_id).make()
    house.folder(run_id).candidates.write_text("in use")
    await house.loop.tidy()
    assert not left.path.exists()
    assert house.folder(run_id).candidates.exists()


async def test_the_weights_of_a_champion_hold_what_it_was_trained_on(open_house: Open) -> None:
    house = await open_house()
    now = utc_now()
    ids = [f"c{number:04}" for number in range(450)]

    def talk(connection: Any) -> None:
        connection.execute(
            insert(tables.conversation),
            [
                {
                    "id": id_,
                    "channel": "kefu",
                    "account": id_,
                    "status": "bot",
                    "last_seq": 0,
                    "created_at": now,
                    "updated_at": now,
                }
                for id_ in ids
            ],
        )

    await house.journal.write(talk)
    await note(house.journal, "v1", Counter(dict.fromkeys(ids, 2)))
    await note(house.journal, "v2", Counter({"c0000": 5, "erased": 1}))
    for _ in range(2):
        await inherit(house.journal, "v2", "v1")
    seen = await house.journal.read(partial(exposure.versions_of, conversation_ids=ids))
    assert seen == {"v1": 900, "v2": 5 + 2 * 449}
    assert (
        await house.journal.read(partial(exposure.versions_of, conversation_ids=["erased"])) == {}
    )


async def test_the_last_of_each_is_found(open_house: Open) -> None:
    house = await open_house()
    assert await house.journal.read(learning_runs.last_learned) is None
    house.reports["harvest"] = {"rows": 0}
    await house.run()
    assert await house.journal.read(learning_runs.last_learned) is None
    assert await house.journal.read(learning_runs.last_of_drift) is None
    house.reports["harvest"] = {"rows": 1}
    first = await house.run("drift")
    house.code["train"] = FAILS
    second = await house.run()
    assert (await house.journal.read(learning_runs.last_learned) or {})["id"] == first["id"]
    assert await house.journal.read(learning_runs.last_of_drift) == first["created_at"]
    newest = await house.journal.read(partial(learning_runs.latest, limit=2))
    assert [row["id"] for row in newest] == [second["id"], first["id"]]
    # The console counts corrections from the last run that made a version.
    found = await house.journal.read(partial(training_runs.last_success, with_corrections=True))
    assert found is not None
    assert found["id"] == first["id"]


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_is_taken_up_and_each_step_is_done_once(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    upgrade(database_url)
    state = tmp_path / "state"
    state.mkdir()
    (state / "current").write_text("v1")
    draw = random.Random(f"{seed} {database_url[:6]}")
    kills = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        process = subprocess.Popen(
            [sys.executable, str(PROCESS), str(state), database_url],
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _, said = process.communicate(timeout=draw.uniform(0.6, 2.0) if kills < 4 else 30)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            if draw.random() < 0.5:
                _kill_step(state)
            assert (state / "current").read_text() in {"v1", "v2"}
            continue
        if process.returncode == 0:
            break
        # 3: it was killed before its run was in the log, or the run is too fresh to be taken up.
        assert process.returncode == 3, said.decode()
        if _open_row(database_url) is None and not _rows(database_url):
            (state / "begun").unlink()
    assert kills >= 2
    (row,) = _rows(database_url)
    assert (row["state"], row["slot"], row["promoted"], row["version"]) == (
        "succeeded",
        None,
        True,
        "v2",
    )
    assert (state / "current").read_text() == "v2"
    happened = (state / "happened").read_text().splitlines()
    ends = [line.split()[1] for line in happened if line.startswith("end")]
    # A step that was killed after its last word and before its report is done again.
    assert list(dict.fromkeys(ends)) == ["harvest", "guard", "seal", "train", "prove"]
    assert len(ends) <= 5 + kills
    assert _one_at_a_time(happened)
    assert not list((state / "learning").glob("*/*.json*"))


def _one_at_a_time(happened: list[str]) -> bool:
    """Whether no step was begun while the process of one that lived went on to its end."""
    spans: dict[str, list[int]] = {}
    for number, line in enumerate(happened):
        if line.startswith(("begin", "end")):
            spans.setdefault(line.split()[2], []).append(number)
    whole = sorted(tuple(span) for span in spans.values() if len(span) == 2)
    return all(not any(start < other[0] < end for other in spans.values()) for start, end in whole)


def _kill_step(state: Path) -> None:
    for noted in (state / "learning").glob("*/process.json"):
        with suppress(ValueError, ProcessLookupError, OSError):
            os.killpg(json.loads(noted.read_text())["pid"], signal.SIGKILL)


def _rows(url: str) -> list[dict[str, Any]]:
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(tables.training_run)).mappings()]
    finally:
        engine.dispose()


def _open_row(url: str) -> dict[str, Any] | None:
    return next((row for row in _rows(url) if row["slot"] == 1), None)


async def _training(house: House, run_id: str) -> dict[str, Any]:
    """The row when the process that hangs is noted."""

    def holds(row: dict[str, Any]) -> bool:
        if row["step"] != "train" or row["process_id"] is None:
            return False
        try:
            return HANGS in psutil.Process(row["process_id"]).cmdline()
        except psutil.Error:
            return False

    return await house.until(run_id, holds)


def _parts(house: House) -> RunParts:
    async def promote(version: str) -> None:
        raise AssertionError(version)

    return RunParts(
        journal=house.journal,
        settings=house.settings,
        world=World(),
        corrections=ReviewedTurns(house.journal),
        promote=promote,
    )


def _row(*, host: str, seen_at: datetime | None = None) -> dict[str, Any]:
    now = utc_now()
    return {
        "id": "r1",
        "actor": "Ada",
        "step": "train",
        "options": {"why": "hand", "corrections": True, "from": "champion", "champion": "v1"},
        "host": host,
        "owner": "999999999 0.0 x",
        "created_at": now,
        "seen_at": seen_at or now,
    }
