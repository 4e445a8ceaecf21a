"""Starts the processes in order of readiness, restarts what dies, drains on a signal."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

import aiohttp
import psutil

from bot.errors import KefuError
from bot.processes import ProcessSpec

READY_POLL_S = 0.2
HEALTH_POLL_S = 5.0
UNHEALTHY_CHECKS = 6  # a process that answers nothing for this many checks is killed
STEADY_S = 60.0  # a process up this long has its back-off forgotten
FIRST_BACKOFF_S = 0.5
LAST_BACKOFF_S = 30.0
STARTS_BEFORE_GIVING_UP = 4  # of a process that was never ready
LOG_BYTES = 20_000_000
KILL_GRACE_S = 5.0  # beyond the drain that a process gives itself

Step = Callable[[], Awaitable[None]]


class ProcessKeepsDying(KefuError):
    """A process that never became ready."""

    def __init__(self, name: str, log: Path, last_line: str) -> None:
        super().__init__(f"{name} stops at start: {last_line or 'it says nothing'} (log: {log})")


class Supervised:
    """One process with its log, its restarts and its readiness."""

    def __init__(self, spec: ProcessSpec, environment: Mapping[str, str], logs: Path) -> None:
        self.spec = spec
        self.environment = environment
        self.log_path = logs / f"{spec.name}.log"
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self.restarts = 0
        self.last_line = ""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        running = self.process is not None and self.process.returncode is None
        return self.process.pid if running and self.process else None

    async def start(self) -> asyncio.subprocess.Process:
        """Start it in a session of its own, so that Ctrl-C reaches the supervisor alone."""
        self.process = await asyncio.create_subprocess_exec(
            *self.spec.command,
            env={**self.environment, **self.spec.variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1_000_000,
        )
        return self.process

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if it still runs."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Supervisor:
    """Runs all processes until a signal or until one of them cannot be started."""

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        environment: Mapping[str, str],
        state_dir: Path,
        steps: Mapping[str, Step],
        drain_timeout_s: float,
    ) -> None:
        self.logs = state_dir / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.state_file = state_dir / "up.json"
        self.children = {spec.name: Supervised(spec, environment, self.logs) for spec in specs}
        self.steps = steps
        self.drain_timeout_s = drain_timeout_s
        self.stopping = asyncio.Event()
        self.all_ready = asyncio.Event()
        self.failure: KefuError | None = None

    async def run(self) -> None:
        """Supervise until stopped, then drain. Raises KefuError when a process cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stopping.set)
        self.write_state()
        timeout = aiohttp.ClientTimeout(total=3)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                watchers = [
                    asyncio.create_task(self._watch(child, session))
                    for child in self.children.values()
                ]
                await self.stopping.wait()
                self._say("kefu", "stopping: answering what was accepted")
                await self._drain()
                for watcher in watchers:
                    watcher.cancel()
                await asyncio.gather(*watchers, return_exceptions=True)
        finally:
            self.state_file.unlink(missing_ok=True)
        if self.failure is not None:
            raise self.failure
        self._say("kefu", "stopped")

    async def _watch(self, child: Supervised, session: aiohttp.ClientSession) -> None:
        """Keep one process running: wait for what it needs, start, follow, restart."""
        try:
            for name in child.spec.after:
                await self.children[name].ready.wait()
            backoff_s, starts = FIRST_BACKOFF_S, 0
            while not self.stopping.is_set():
                started_at = time.monotonic()
                process = await child.start()
                self.write_state()
                reader = asyncio.create_task(self._copy_log(child, process))
                prober = asyncio.create_task(self._probe(child, session))
                code = await process.wait()
                prober.cancel()
                await asyncio.gather(reader, prober, return_exceptions=True)
                if self.stopping.is_set():
                    return
                starts += 1
                gives_up = child.spec.vital and starts >= STARTS_BEFORE_GIVING_UP
                if gives_up and not child.ready.is_set():
                    raise ProcessKeepsDying(child.spec.name, child.log_path, child.last_line)
                child.restarts += 1
                if time.monotonic() - started_at > STEADY_S:
                    backoff_s = FIRST_BACKOFF_S
                self._say(
                    child.spec.name, f"died (exit {code}); starting it again in {backoff_s:g} s"
                )
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), backoff_s)
                backoff_s = min(2 * backoff_s, LAST_BACKOFF_S)
        except KefuError as failure:
            self._fail(failure)
        except OSError as error:
            self._fail(KefuError(f"{child.spec.name} cannot be started: {error}; run kefu doctor"))

    def _fail(self, failure: KefuError) -> None:
        self.failure = self.failure or failure
        self.stopping.set()

    async def _probe(self, child: Supervised, session: aiohttp.ClientSession) -> None:
        """Mark the process ready when it is; kill one that stops answering."""
        started_at = time.monotonic()
        while not await _answers(session, child.spec.ready_url):
            await asyncio.sleep(READY_POLL_S)
        self._say(child.spec.name, f"ready after {time.monotonic() - started_at:.1f} s")
        if not child.ready.is_set():
            step = self.steps.get(child.spec.name)
            if step is not None:
                try:
                    await step()
                except KefuError as failure:
                    self._fail(failure)
                    return
            child.ready.set()
            vital = [other for other in self.children.values() if other.spec.vital]
            if all(other.ready.is_set() for other in vital):
                self.all_ready.set()
            self.write_state()
        silent = 0
        while True:
            await asyncio.sleep(HEALTH_POLL_S)
            silent = 0 if await _answers(session, child.spec.health_url) else silent + 1
            if silent >= UNHEALTHY_CHECKS:
                self._say(child.spec.name, "does not answer any more: killing it")
                child.signal(signal.SIGKILL)
                return

    async def _copy_log(self, child: Supervised, process: asyncio.subprocess.Process) -> None:
        """Copy each line to the process's log file and, with its name before it, to ours."""
        handler = RotatingFileHandler(
            child.log_path, maxBytes=LOG_BYTES, backupCount=3, encoding="utf-8"
        )
        assert process.stdout is not None
        try:
            while True:
                try:
                    raw = await process.stdout.readline()
                except ValueError:  # a line over the buffer's limit
                    continue
                if not raw:
                    return
                line = raw.decode("utf-8", "replace").rstrip()
                if not line:
                    continue
                child.last_line = line
                record = logging.makeLogRecord({"msg": line})
                handler.emit(record)
                self._say(child.spec.name, line)
        finally:
            handler.close()

    async def _drain(self) -> None:
        """Stop who needs the others first: they go on until it has answered what it accepted."""
        for name in reversed(list(self.children)):
            child = self.children[name]
            child.signal(signal.SIGTERM)
            if child.process is None:
                continue
            try:
                await asyncio.wait_for(child.process.wait(), self.drain_timeout_s + KILL_GRACE_S)
            except TimeoutError:
                self._say(name, f"did not stop within {self.drain_timeout_s:g} s: killing it")
                child.signal(signal.SIGKILL)
                await child.process.wait()

    def write_state(self) -> None:
        """Tell other commands who runs, atomically, in `up.json`."""
        state = {
            "pid": os.getpid(),
            # Tells this process from a later one that was given the same number.
            "since": psutil.Process().create_time(),
            "ready": self.all_ready.is_set(),
            "address": self.children["gateway"].spec.url if "gateway" in self.children else "",
            "processes": {
                name: {
                    "pid": child.pid,
                    "url": child.spec.url,
                    "ready": child.ready.is_set(),
                    "restarts": child.restarts,
                }
                for name, child in self.children.items()
            },
        }
        temporary = self.state_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(state))
        temporary.replace(self.state_file)

    def _say(self, name: str, line: str) -> None:
        print(f"{name:<13} | {line}", file=sys.stderr, flush=True)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether this address answers 200."""
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
