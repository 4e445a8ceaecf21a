"""The learning loop with steps that only take time, as a process that a test kills.

`learning_process.py STATE_DIR DATABASE_URL` drives a run to its end: the one that a killed process
left, or a new one. `learning_process.py STATE_DIR DATABASE_URL STEP RUN_ID` is a step of it.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from bot.learning.loop import Loop
from bot.learning.loop_parts import LoopParts, Pace
from bot.learning.run_folder import RunFolder
from bot.learning.step_process import enter
from bot.log.database import open_engine
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World

STEP_S = 0.1
REPORTS = {
    "harvest": {"rows": 3},
    "guard": {"kept": 3, "new": 3, "held": {}},
    "seal": {"dataset": "d1"},
    "train": {"model_version": "v2", "validation": {"intent": {"accuracy": 0.9}}},
    "prove": {"champion": "v1", "decision": "promote", "reasons": []},
}


def note(state_dir: Path, line: str) -> None:
    """Keep that something happened, in one write."""
    with (state_dir / "happened").open("a") as out:
        out.write(line + "\n")


class Pointer:
    """What serves, in a file; promoting is told of."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    def current(self) -> str:
        return (self.state_dir / "current").read_text()

    async def promote(self, version: str, **why: object) -> None:
        note(self.state_dir, "promote")
        temporary = self.state_dir / "current.tmp"
        temporary.write_text(version)
        temporary.replace(self.state_dir / "current")

    async def start_canary(self, version: str, **why: object) -> None:
        raise AssertionError

    async def open_trial(self) -> None:
        raise AssertionError


async def drive(state_dir: Path, url: str) -> None:
    settings = Settings(
        _env_file=None,
        state_dir=state_dir,
        models_dir=state_dir,
        database_url=url,
        learn_release="everyone",
    )
    journal = Journal(
        write_engine=open_engine(url, writer=True), read_engine=open_engine(url), world=World()
    )
    journal.start()
    pointer = Pointer(state_dir)

    async def expose(*arguments: object) -> None:
        note(state_dir, "expose")

    loop = Loop(
        LoopParts(
            journal=journal,
            settings=settings,
            world=World(),
            release=pointer,
            champion=pointer.current,
            expose=expose,
        ),
        command=lambda step, run_id: [sys.executable, __file__, str(state_dir), url, step, run_id],
        pace=Pace(look_s=0.02, renew_s=0.02, adopt_after_s=0.1),
    )
    await loop.tidy()
    run_id = await loop.take_up()
    if run_id is None:
        begun = state_dir / "begun"
        if begun.exists():
            # A run is open, or one has ended: this test has but one.
            await journal.close()
            sys.exit(3)
        begun.touch()
        run_id = await loop.begin(actor="test", why="hand")
    run = await loop.drive(run_id)
    await journal.close()
    assert run["state"] == "succeeded", run


def do_step(state_dir: Path, step: str, run_id: str) -> None:
    folder = RunFolder(state_dir, run_id)
    if not enter(folder, step):
        return
    note(state_dir, f"begin {step} {os.getpid()}")
    time.sleep(STEP_S)
    note(state_dir, f"end {step} {os.getpid()}")
    print(json.dumps(REPORTS[step]), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asyncio.run(drive(Path(sys.argv[1]), sys.argv[2]))
    else:
        do_step(Path(sys.argv[1]), sys.argv[3], sys.argv[4])
