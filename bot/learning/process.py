"""The process of a training run: it outlives the gateway that began it and is found again."""

import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

NICE = 10
TERM_S = 5.0
_SINCE_S = 0.05  # the clock's step in a process's start, where there is no /proc
_START_FIELD = 22  # of /proc/PID/stat, counted from 1
TAIL_BYTES = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProcess:
    """A process by its number and its start, as `started` tells it."""

    pid: int
    since: float

    def is_alive(self) -> bool:
        """Whether it still runs; a child of ours that has ended is let go of."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        found = self._found()
        return found is not None and found.status() != psutil.STATUS_ZOMBIE

    def stop(self) -> None:
        """End it and what it has started: asked first, then made to."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_alive():
                return
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            deadline = time.monotonic() + TERM_S
            while self.is_alive() and time.monotonic() < deadline:
                time.sleep(0.02)

    def _found(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            same = abs(started(process) - self.since) < _SINCE_S
        except psutil.NoSuchProcess:
            return None
        return process if same else None


def started(process: psutil.Process) -> float:
    """When it began: in ticks since the machine did, or seconds since 1970 where none are told.

    A moment of the day moves when the machine's clock is set, and a process that lives would seem
    to be another. Raises psutil.NoSuchProcess.
    """
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text(errors="replace")
    except OSError:
        return float(process.create_time())
    # Its second field is the program's name in brackets, and may hold both spaces and brackets.
    return float(stat.rpartition(")")[2].split()[_START_FIELD - 3])


def launch(
    command: Sequence[str], environment: Mapping[str, str], *, out: Path, log: Path
) -> RunProcess:
    """Start a command in a session of its own, with low priority; raises OSError.

    Not through `subprocess`: its objects want to see their process end, and this one may end
    after us.
    """
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    pid = os.posix_spawnp(
        command[0],
        list(command),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(out), write, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, str(log), write, 0o600),
        ],
        setsid=True,
    )
    process = psutil.Process(pid)
    with suppress(psutil.Error):
        process.nice(NICE)
    return RunProcess(pid=pid, since=started(process))


def last_lines(log: Path, most: int) -> list[str]:
    """The last lines of a log; none when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = ["".join(c if c.isprintable() else " " for c in line) for line in text.splitlines()]
    return [line.strip()[:300] for line in lines if line.strip()][-most:]


def clear_leftovers(models_dir: Path, pid: int) -> None:
    """Remove the unfinished bundle of a training that was ended."""
    for folder in (models_dir / "nlu").glob(f".*.{pid}.tmp"):
        shutil.rmtree(folder, ignore_errors=True)
