"""Runs the learning loop once because somebody asks for it: a process that outlives the gateway."""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from bot.errors import RequestError
from bot.learning.process import RunProcess, last_lines, launch
from bot.learning.run_folder import runs_dir
from bot.log import learning_runs, training_runs
from bot.log.journal import Journal
from bot.settings import Settings

BEGIN_S = 30.0  # by then it has begun a run, or said why not
LOOK_S = 0.1

Command = Callable[[], Sequence[str]]


def once_command() -> list[str]:
    """`kefu learn --once`."""
    return [sys.executable, "-m", "bot.cli", "learn", "--once", "--json"]


class ByHand:
    """Begins runs from the console, whether the loop has a process of its own or not."""

    def __init__(
        self, journal: Journal, settings: Settings, *, command: Command = once_command
    ) -> None:
        self.command = command
        self._journal = journal
        self._settings = settings

    async def ask(self) -> str:
        """Begin a run; its id. Raises RequestError where there cannot be one now."""
        before = await self._journal.read(training_runs.open_run)
        if before is not None:
            raise RequestError(
                409, "run", "a run or a training is going on already", "wait for it, or cancel it"
            )
        newest = await self._newest()
        folder = runs_dir(self._settings.state_dir)
        log = folder / "by-hand.log"
        try:
            process = await asyncio.to_thread(self._launch)
        except OSError as error:
            raise RequestError(
                503, "run", f"it cannot be started ({error})", "see `kefu doctor`"
            ) from error
        deadline = time.monotonic() + BEGIN_S
        while time.monotonic() < deadline:
            alive = process.is_alive()
            found = await self._newest()
            if found is not None and found != newest:
                return found
            if not alive:
                said = last_lines(log, 1)
                reason = said[0].removeprefix("Error: ") if said else "its process has ended"
                raise RequestError(409, "run", reason, "see `kefu learn --once`")
            await asyncio.sleep(LOOK_S)
        await asyncio.to_thread(process.stop)
        raise RequestError(503, "run", f"it has not begun after {BEGIN_S:g} s", "see `kefu doctor`")

    async def _newest(self) -> str | None:
        runs = await self._journal.read(partial(learning_runs.latest, limit=1))
        return str(runs[0]["id"]) if runs else None

    def _launch(self) -> RunProcess:
        # Imported here: it is the supervisor's.
        from bot.up import child_environment

        folder = runs_dir(self._settings.state_dir)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return launch(
            self.command(),
            child_environment(self._settings),
            out=folder / "by-hand.json",
            log=folder / "by-hand.log",
        )
