"""The loop under SIGKILL: real steps on a small shop, killed at random moments, begun again."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bot.bench.learning_shop import command, correct, environment, in_log, open_shop
from bot.bench.report import progress
from bot.learning.run_folder import RunFolder, runs_dir
from bot.log import learning_runs, training_runs
from bot.log.training_runs import Row
from bot.settings import Settings
from nlu.bundle import BundleStore, open_bundle

FIRST_S = 0.5
TIMEOUT_S = 1800.0
EVERYTHING = 10_000


@dataclass(slots=True, kw_only=True)
class Seen:
    """What became of the runs."""

    kills: Counter[str] = field(default_factory=Counter)  # by the step that was killed
    with_step: int = 0  # the step's process was killed, too
    whole: int = 0  # looks at the version that serves
    taken_up: int = 0
    run_s: list[float] = field(default_factory=list)  # that nothing was killed in
    said: list[str] = field(default_factory=list)  # by a process that ended badly


def measure_kills(folder: Path, kills: int, *, seed: int = 11) -> dict[str, Any]:
    """Kill the loop so often, let each run end, and count."""
    settings = open_shop(folder, learn_release="everyone")
    draw = random.Random(seed)
    seen = Seen()
    _run_to_its_end(settings, seen, timed=True)
    number = 0
    while seen.kills.total() < kills:
        progress(f"kill {seen.kills.total() + 1} of {kills}")
        if in_log(settings, training_runs.open_run) is None:
            number += 1
            in_log(settings, partial(correct, number=number, now=datetime.now(UTC)))
        _run_and_kill(settings, seen, draw)
        _check_serving(settings, seen)
    if in_log(settings, training_runs.open_run) is not None:
        _run_to_its_end(settings, seen)
    return _figures(settings, seen)


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("learn", "--once"),
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _run_to_its_end(settings: Settings, seen: Seen, *, timed: bool = False) -> None:
    started = time.monotonic()
    process = _start(settings)
    _, said = process.communicate(timeout=TIMEOUT_S)
    if process.returncode != 0:
        seen.said.append(" ".join(said.decode("utf-8", "replace").split())[-300:])
    elif timed:
        seen.run_s.append(time.monotonic() - started)
    _check_serving(settings, seen)


def _run_and_kill(settings: Settings, seen: Seen, draw: random.Random) -> None:
    """Start the loop and kill it somewhere within the time of a whole run, if it still runs."""
    before = in_log(settings, training_runs.open_run)
    process = _start(settings)
    longest_s = max(seen.run_s, default=60.0)
    try:
        _, said = process.communicate(timeout=draw.uniform(FIRST_S, longest_s))
    except subprocess.TimeoutExpired:
        run = in_log(settings, training_runs.open_run)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        # Half of the time the machine goes down, as it were: the step goes with the loop.
        if run is not None and draw.random() < 0.5:
            seen.with_step += _kill_step(settings, run["id"])
        seen.kills["none yet" if run is None else str(run["step"])] += 1
        _count_taken_up(settings, seen, before)
        return
    _count_taken_up(settings, seen, before)
    if process.returncode != 0:
        seen.said.append(" ".join(said.decode("utf-8", "replace").split())[-300:])


def _count_taken_up(settings: Settings, seen: Seen, before: Row | None) -> None:
    """Whether the run that a killed process left was gone on with."""
    if before is not None:
        now = in_log(settings, partial(training_runs.find, run_id=before["id"]))
        seen.taken_up += now["owner"] != before["owner"]


def _kill_step(settings: Settings, run_id: str) -> bool:
    found = RunFolder(settings.state_dir, run_id).process()
    if found is None or not found.is_alive():
        return False
    with suppress(ProcessLookupError):
        os.killpg(found.pid, signal.SIGKILL)
    return True


def _check_serving(settings: Settings, seen: Seen) -> None:
    """The version that serves is whole. Raises BundleError when it is not."""
    store = BundleStore(settings.models_dir)
    open_bundle(store.folder(store.current() or ""))
    seen.whole += 1


def _figures(settings: Settings, seen: Seen) -> dict[str, Any]:
    runs = in_log(settings, partial(learning_runs.latest, limit=EVERYTHING))
    made = {run["version"] for run in runs if run["version"]}
    store = BundleStore(settings.models_dir)
    first = min(store.versions())
    left = [path.name for path in runs_dir(settings.state_dir).glob("*/*.jsonl")]
    return {
        "kills": seen.kills.total(),
        "kills_by_step": dict(seen.kills),
        "kills_with_the_step": seen.with_step,
        "runs": len(runs),
        "runs_by_state": dict(Counter(run["state"] for run in runs)),
        "taken_up": seen.taken_up,
        "open_at_the_end": sum(run["slot"] is not None for run in runs),
        "whole_bundle_looks": seen.whole,
        "versions_nobody_knows_of": len(set(store.versions()) - made - {first}),
        "unfinished_bundles": len(list(store.root.glob(".*.tmp"))),
        "files_with_words_left": len(left),
        "run_s": round(max(seen.run_s, default=0.0), 1),
        "complaints": seen.said,
    }


def is_clean(figures: dict[str, Any]) -> bool:
    """Whether every run came to its end, and nothing was left or lost."""
    nothing = (
        "open_at_the_end",
        "versions_nobody_knows_of",
        "unfinished_bundles",
        "files_with_words_left",
    )
    return (
        set(figures["runs_by_state"]) == {"succeeded"}
        and not figures["complaints"]
        and not any(figures[name] for name in nothing)
    )
