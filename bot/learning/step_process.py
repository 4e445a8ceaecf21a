"""Runs one step of a learning run as a process of its own: `python -m bot.learning.step_process`.

Heavy imports end with it, and a loop that was killed finds it again, or its report.
"""

import asyncio
import fcntl
import json
import os
import sys
from collections.abc import Sequence

import psutil

from bot.learning.process import RunProcess, started
from bot.learning.run_folder import RunFolder
from bot.settings import Settings


def enter(folder: RunFolder, step: str) -> bool:
    """Wait until no other process is at a step of this run, then let stdout be the report.

    Returns False when the step had been done meanwhile. The lock is held until the process ends,
    also by a program that it becomes.
    """
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(lock, True)
    fcntl.flock(lock, fcntl.LOCK_EX)
    me = psutil.Process()
    folder.note_process(RunProcess(pid=me.pid, since=started(me)))
    if folder.report(step) is not None:
        return False
    out = os.open(folder.report_of(step), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, sys.stdout.fileno())
    os.close(out)
    return True


def main(arguments: Sequence[str]) -> None:
    """Do a step and print its report; what is wrong is one line and exit code 1."""
    step, run_id = arguments
    settings = Settings()
    if not enter(RunFolder(settings.state_dir, run_id), step):
        return
    from bot.learning import steps

    try:
        if step == "train":
            command = asyncio.run(steps.training(settings, run_id))
            os.execvp(command[0], command)
        report = asyncio.run(steps.do(step, settings, run_id))
    except Exception as error:
        # Loaded by now, if it was raised.
        from bot.cli import expected_errors

        if not isinstance(error, (*expected_errors(), OSError)):
            raise
        sys.exit(" ".join(str(error).split()))
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
