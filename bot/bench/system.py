"""A kefu of its own for a benchmark or a test: free ports, an own state folder, real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from bot.errors import KefuError

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 120.0


class SystemDidNotStart(KefuError):
    """A private kefu that did not become ready."""

    def __init__(self, log: Path) -> None:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        super().__init__(f"kefu did not start: {''.join(last)} (log: {log})")


class PrivateSystem:
    """A running `kefu up` that nothing else uses."""

    def __init__(self, process: subprocess.Popen[bytes], state_dir: Path, start_s: float) -> None:
        self.process = process
        self.state_dir = state_dir
        self.start_s = start_s
        self.url: str = self._state()["address"]

    def _state(self) -> dict[str, Any]:
        loaded = json.loads((self.state_dir / "up.json").read_text())
        assert isinstance(loaded, dict)
        return loaded

    @property
    def gateway_urls(self) -> list[str]:
        """Base addresses of the gateways."""
        return [
            str(entry["url"])
            for name, entry in self._state()["processes"].items()
            if name.startswith("gateway")
        ]

    @property
    def processes(self) -> list[str]:
        """The names of all processes."""
        return list(self._state()["processes"])

    def pids(self) -> dict[str, int | None]:
        """Process ids by name; None while one is being restarted."""
        return {name: entry["pid"] for name, entry in self._state()["processes"].items()}

    def address_of(self, name: str) -> str:
        """Base address of one process."""
        return str(self._state()["processes"][name]["url"])

    def restarts(self) -> dict[str, int]:
        """How often the supervisor restarted each process."""
        return {name: entry["restarts"] for name, entry in self._state()["processes"].items()}

    def kill(self, name: str) -> None:
        """SIGKILL one process; the supervisor starts it again."""
        pid = self.pids()[name]
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def resident_mb(self) -> dict[str, float]:
        """Resident memory of each process and its children, in MB."""
        found = {}
        for name, pid in self.pids().items():
            if pid is not None:
                found[name] = round(resident_mb(pid), 1)
        return found

    def stop(self) -> int:
        """SIGTERM, then wait for the drain; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its children, in MB."""
    process = psutil.Process(pid)
    everyone = [process, *process.children(recursive=True)]
    return float(sum(one.memory_info().rss for one in everyone)) / 1e6


def free_port(count: int = 1) -> int:
    """The first of `count` consecutive ports that nothing listens on now."""
    while True:
        with ExitStack() as stack:
            first = 0
            try:
                for number in range(count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", first + number if first else 0))
                    first = first or int(probe.getsockname()[1])
            except (OSError, OverflowError):
                continue
            return first


def private_environment(state_dir: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """An environment in which kefu shares nothing but the trained models with another kefu.

    The learning loop is off unless the settings say otherwise: it would take its share of the
    machine, and change the models.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KEFU_") or name == "KEFU_MODELS_DIR"
    }
    ports = ("KEFU_NLU_PORT", "KEFU_DIALOGUE_PORT", "KEFU_ACTIONS_PORT", "KEFU_LEARN_PORT")
    return {
        **inherited,
        **{name: str(free_port()) for name in ports},
        "KEFU_PORT": str(free_port(int(settings.get("KEFU_GATEWAYS", "1")))),
        "KEFU_STATE_DIR": str(state_dir),
        "KEFU_LEARN_EVERY": "off",
        **settings,
    }


@contextmanager
def private_system(
    state_dir: Path, settings: Mapping[str, str] | None = None
) -> Iterator[PrivateSystem]:
    """Start a kefu in `state_dir`, with further `KEFU_` settings, and stop it at the end.

    That is also when this process gets a SIGTERM. Raises SystemDidNotStart with the last line of
    its log.
    """
    with ended_by_sigterm(), _started(state_dir, settings or {}) as system:
        yield system


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """A SIGTERM is raised as SystemExit meanwhile, so that what was started is stopped.

    In the main thread; elsewhere nobody can say what a signal does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _started(state_dir: Path, settings: Mapping[str, str]) -> Iterator[PrivateSystem]:
    state_dir.mkdir(parents=True, exist_ok=True)
    log = state_dir / "kefu.log"
    started = time.monotonic()
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", "up"],
            env=private_environment(state_dir, settings),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        while True:
            if process.poll() is not None or time.monotonic() - started > START_TIMEOUT_S:
                raise SystemDidNotStart(log)
            try:
                if json.loads((state_dir / "up.json").read_text())["ready"]:
                    break
            except (OSError, ValueError):
                pass
            time.sleep(0.05)
        yield PrivateSystem(process, state_dir, time.monotonic() - started)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
