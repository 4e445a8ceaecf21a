"""The folder of a learning run: what its steps leave for each other, and for who takes it up."""

import json
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bot.learning.process import RunProcess

# What outlives the run: the proof (ids, no words) and the curves of the training.
KEPT = ("proof", "board")


class RunFolder:
    """Paths, reports and the process of one run."""

    def __init__(self, state_dir: Path, run_id: str) -> None:
        self.path = runs_dir(state_dir) / run_id
        self.candidates = self.path / "candidates.jsonl"
        self.kept = self.path / "kept.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.board = self.path / "board"
        self.proof = self.path / "proof"
        # Held by the process of a step for as long as it lives.
        self.lock = self.path / "lock"
        self._process = self.path / "process.json"

    def make(self) -> None:
        """Make the folder, closed to others: it will hold customers' words."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def report_of(self, step: str) -> Path:
        """Where a step's process prints its report."""
        return self.path / f"{step}.json"

    def log_of(self, step: str) -> Path:
        """Where a step's process says what it is at; no customer's words."""
        return self.path / f"{step}.log"

    def report(self, step: str) -> dict[str, Any] | None:
        """What a step reported when it had done all; None when it has not, or not wholly."""
        try:
            found = json.loads(self.report_of(step).read_text("utf-8").strip().splitlines()[-1])
        except (OSError, ValueError, IndexError):
            return None
        return found if isinstance(found, dict) else None

    def forget(self, step: str) -> None:
        """Have a step done again."""
        self.report_of(step).unlink(missing_ok=True)

    def note_process(self, process: RunProcess) -> None:
        """Keep which process is at a step; written by itself."""
        temporary = self._process.with_suffix(".tmp")
        temporary.write_text(json.dumps({"pid": process.pid, "since": process.since}))
        temporary.replace(self._process)

    def process(self) -> RunProcess | None:
        """The process that is, or was, at a step."""
        try:
            found = json.loads(self._process.read_text("utf-8"))
            return RunProcess(pid=int(found["pid"]), since=float(found["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def clear(self) -> None:
        """Remove all but the proof and the curves: the rest holds customers' words."""
        with suppress(FileNotFoundError):
            for entry in list(self.path.iterdir()):
                if entry.name in KEPT:
                    continue
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
            with suppress(OSError):  # it holds a proof
                self.path.rmdir()


def processes_of(run: Mapping[str, Any] | None, folder: RunFolder) -> list[RunProcess]:
    """What may be at a step: as it says itself, and as the run does.

    The two differ when the loop was killed before the one, or before the other, was noted.
    """
    found = [folder.process()]
    if run is not None and run["process_id"] is not None:
        found.append(RunProcess(pid=run["process_id"], since=run["process_since"]))
    return list(dict.fromkeys(process for process in found if process is not None))


def runs_dir(state_dir: Path) -> Path:
    """Where the folders of all learning runs are."""
    return state_dir / "learning"


def clear_ended(state_dir: Path, going_on: Collection[str]) -> None:
    """Clear what runs that have ended left behind when their process was killed."""
    for folder in runs_dir(state_dir).glob("*"):
        if folder.is_dir() and folder.name not in going_on:
            RunFolder(state_dir, folder.name).clear()
