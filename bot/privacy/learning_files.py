"""Customers in the files of the learning loop: versions of the data, and what a run has in hand."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from bot.learning.datasets.lines import conversation_of, remove_lines, turn_of
from bot.learning.datasets.manifest import ROWS
from bot.learning.datasets.store import DatasetStore
from bot.learning.run_folder import RunFolder, runs_dir


def turns_are_used(state_dir: Path, run: dict[str, Any], turn_ids: Collection[str]) -> bool:
    """Whether a training uses one of these turns; True also where nobody can say."""
    if run["kind"] != "learn":
        if not run["options"].get("corrections"):
            return False
        try:
            text = (state_dir / "training" / run["id"] / "turns.json").read_text("utf-8")
            return not frozenset(map(str, json.loads(text))).isdisjoint(turn_ids)
        except (OSError, ValueError, TypeError):
            return True
    wanted = frozenset(turn_ids)
    # The guard has them in hand before there is a version of the data, which stays longer.
    places = [RunFolder(state_dir, run["id"]).kept]
    if run["dataset"] is not None:
        places.append(DatasetStore(state_dir).root / run["dataset"] / ROWS)
    for path in places:
        try:
            with path.open("rb") as lines:
                return any(turn_of(line) in wanted for line in lines)
        except OSError:
            continue
    return True


def run_files(state_dir: Path) -> list[Path]:
    """What runs of the loop have in hand: a row, or the id of a turn, in each line."""
    return sorted(path for path in runs_dir(state_dir).rglob("*.jsonl") if path.is_file())


def clean_runs(
    state_dir: Path, conversation_ids: Collection[str], turn_ids: Collection[str]
) -> int:
    """Take customers out of what runs have in hand; how many lines went. Raises OSError."""
    conversations, turns = frozenset(conversation_ids), frozenset(turn_ids)

    def is_gone(line: bytes) -> bool:
        return conversation_of(line) in conversations or turn_of(line) in turns

    removed = 0
    for path in run_files(state_dir):
        try:
            removed += remove_lines(path, is_gone)
        except FileNotFoundError:
            continue  # the run ended meanwhile, and took it with it
    for path in _half_written(state_dir):
        path.unlink(missing_ok=True)
    return removed


def _half_written(state_dir: Path) -> Iterator[Path]:
    """What the harvest and the guard of a process that was killed left behind."""
    yield from runs_dir(state_dir).glob("*/.*.tmp")
    for path in runs_dir(state_dir).glob("*/*.part"):
        if not RunFolder(state_dir, path.parent.name).kept.exists():
            yield path


def conversations_in(state_dir: Path) -> Iterator[set[str]]:
    """Whose words lie in the files, a set for each file."""
    store = DatasetStore(state_dir)
    for version in store.versions():
        yield store.conversations(version)
    for path in run_files(state_dir):
        try:
            with path.open("rb") as lines:
                yield {conversation_of(line) for line in lines} - {""}
        except FileNotFoundError:
            continue
