"""Supervision of small real processes: order, restart, giving up, drain."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bot.bench.system import free_port
from bot.processes import ProcessSpec
from bot.supervisor import STARTS_BEFORE_GIVING_UP, ProcessKeepsDying, Supervisor

SERVER = """
import http.server, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
def stop(*_):
    print("drained", flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("serving", flush=True)
server.serve_forever()
"""


def spec(
    name: str, code: str = SERVER, after: tuple[str, ...] = (), *, vital: bool = True
) -> ProcessSpec:
    port = free_port()
    return ProcessSpec(
        name=name,
        command=[sys.executable, "-c", code, str(port)],
        url=f"http://127.0.0.1:{port}",
        port=port,
        port_setting=f"KEFU_{name.upper()}_PORT",
        after=after,
        vital=vital,
    )


def supervisor(
    specs: list[ProcessSpec],
    state_dir: Path,
    steps: dict[str, Callable[[], Awaitable[None]]] | None = None,
) -> Supervisor:
    return Supervisor(
        specs,
        environment=dict(os.environ),
        state_dir=state_dir,
        steps=steps or {},
        drain_timeout_s=5,
    )


async def stop_when_ready(running: Supervisor) -> None:
    await asyncio.wait_for(running.all_ready.wait(), 20)
    running.stopping.set()


async def test_what_another_needs_is_ready_before_it_starts(tmp_path: Path) -> None:
    order: list[str] = []

    async def note_model() -> None:
        order.append("model step")

    async def note_door() -> None:
        order.append("door step")

    specs = [spec("model"), spec("door", after=("model",))]
    running = supervisor(specs, tmp_path, {"model": note_model, "door": note_door})
    await asyncio.gather(running.run(), stop_when_ready(running))
    assert order == ["model step", "door step"]


async def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    running = supervisor([spec("model")], tmp_path)

    async def kill_once() -> None:
        await asyncio.wait_for(running.all_ready.wait(), 20)
        first = running.children["model"].pid
        running.children["model"].signal(signal.SIGKILL)
        while running.children["model"].pid in {None, first}:
            await asyncio.sleep(0.02)
        state = json.loads(running.state_file.read_text())
        assert state["processes"]["model"]["restarts"] == 1
        running.stopping.set()

    await asyncio.gather(running.run(), kill_once())


async def test_a_process_that_cannot_start_ends_it_with_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.supervisor.FIRST_BACKOFF_S", 0.01)
    dying = spec("model", "import sys; sys.exit('no weights here')")
    running = supervisor([dying, spec("door", after=("model",))], tmp_path)
    with pytest.raises(ProcessKeepsDying, match="model stops at start: no weights here"):
        await asyncio.wait_for(running.run(), 20)


async def test_a_stop_drains_each_process_and_leaves_no_state(tmp_path: Path) -> None:
    running = supervisor([spec("model"), spec("door", after=("model",))], tmp_path)
    await asyncio.gather(running.run(), stop_when_ready(running))
    assert "drained" in (tmp_path / "logs" / "model.log").read_text()
    assert "drained" in (tmp_path / "logs" / "door.log").read_text()
    assert not running.state_file.exists()


async def test_what_is_not_vital_is_tried_again_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.supervisor.FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr("bot.supervisor.LAST_BACKOFF_S", 0.01)
    dying = spec("learning", "import sys; sys.exit('no database')", ("door",), vital=False)
    running = supervisor([spec("door"), dying], tmp_path)

    async def stop_when_tried_often() -> None:
        await asyncio.wait_for(running.all_ready.wait(), 20)
        while running.children["learning"].restarts <= STARTS_BEFORE_GIVING_UP:
            await asyncio.sleep(0.02)
        running.stopping.set()

    # It ends well: nothing was given up.
    await asyncio.gather(running.run(), stop_when_tried_often())
    assert "no database" in (tmp_path / "logs" / "learning.log").read_text()
