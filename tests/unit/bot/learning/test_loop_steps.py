"""What the real steps read and leave: rows that are new, whose turns, the training's command."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bot.learning.datasets.row import Row
from bot.learning.errors import StepFailed
from bot.learning.exposed import trained_on
from bot.learning.process import RunProcess
from bot.learning.run_folder import RunFolder, clear_ended, processes_of
from bot.learning.steps import count_new, rows_of, train_command
from bot.settings import Settings

RUN = {
    "id": "0000abcdef",
    "created_at": datetime(2026, 6, 1, 12, 0, 5, tzinfo=UTC),
    "dataset": "20260601T120000-001",
    "options": {"from": "champion", "champion": "v1"},
}


def row(turn_id: str, **changes: Any) -> Row:
    plain = Row(
        turn_id=turn_id,
        conversation_id=f"c-{turn_id}",
        customer="hash",
        text="where is my parcel",
        source="corrected",
        at="2026-06-01T12:00:00+00:00",
        intent="track",
    )
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({}, 0),
        ({"intent": "pay"}, 1),
        ({"emotion": "angry"}, 1),
        ({"entities": []}, 1),
        ({"pair_id": "p1"}, 1),
        # What it says of the model does not teach.
        ({"confidence": 0.2, "model_version": "v2"}, 0),
    ],
)
def test_a_row_is_new_when_it_teaches_something_else(changes: dict[str, Any], new: int) -> None:
    before = [row("a"), row("b")]
    assert count_new([row("a", **changes), row("b")], before) == (2, new)


def test_rows_that_nobody_spoke_of_or_that_test_are_not_new() -> None:
    kept = [row("a", source="pseudo"), row("b", split="test"), row("c")]
    assert count_new(kept, []) == (3, 1)
    # A turn that the model was sure of, and somebody has corrected since.
    assert count_new([row("a")], [row("a", source="pseudo")]) == (1, 1)


def test_rows_are_read_and_a_bad_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    path.write_text(row("a").as_line() + row("b").as_line())
    assert [one.turn_id for one in rows_of(path)] == ["a", "b"]
    path.write_text(row("a").as_line() + "{}\n")
    with pytest.raises(StepFailed, match="line 2 is no row"):
        list(rows_of(path))


def test_only_what_is_trained_on_counts() -> None:
    rows = [
        row("a", conversation_id="c1"),
        row("b", conversation_id="c1"),
        row("c", conversation_id="c2", split="test"),
    ]
    assert trained_on(rows) == {"c1": 2}


def test_the_training_goes_on_from_the_champion_or_begins_anew(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, state_dir=tmp_path, models_dir=tmp_path / "models")
    data = tmp_path / "datasets" / RUN["dataset"]
    data.mkdir(parents=True)
    (data / "manifest.json").write_text("{}")
    folder = RunFolder(tmp_path, RUN["id"])
    command = train_command(RUN, folder, settings)
    options = dict(pairwise(command))
    assert options["--dataset"] == str(data)
    assert options["--continue-from"] == "v1"
    # The same name each time: what a killed training had made is replaced, not doubled.
    assert options["--out"] == str(tmp_path / "models" / "nlu" / "20260601-120005-abcdef")
    assert options["--checkpoints"] == str(folder.checkpoints)
    assert int(options["--threads"]) >= 1
    assert {"--no-activate", "--json"} < set(command)
    anew = RUN | {"options": {"from": "scratch", "champion": "v1"}}
    assert "--continue-from" not in train_command(anew, folder, settings)


def test_a_report_is_there_when_it_is_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "r1")
    folder.make()
    assert folder.report("train") is None
    for part in ("", "  \n", '{"model_', "[1]", "progress\n"):
        folder.report_of("train").write_text(part)
        assert folder.report("train") is None
    folder.report_of("train").write_text('a line\n{"model_version": "v2"}\n')
    assert folder.report("train") == {"model_version": "v2"}
    folder.forget("train")
    folder.forget("train")
    assert folder.report("train") is None


def test_the_words_of_ended_runs_go_and_their_proofs_stay(tmp_path: Path) -> None:
    for run_id in ("open", "ended", "proven"):
        folder = RunFolder(tmp_path, run_id)
        folder.make()
        folder.kept.write_text("words")
        folder.checkpoints.mkdir()
        (folder.checkpoints / "1").write_text("weights")
    RunFolder(tmp_path, "proven").proof.mkdir()
    clear_ended(tmp_path, ["open"])
    assert sorted(path.name for path in (tmp_path / "learning").iterdir()) == ["open", "proven"]
    assert RunFolder(tmp_path, "open").kept.exists()
    assert [path.name for path in RunFolder(tmp_path, "proven").path.iterdir()] == ["proof"]


def test_the_process_of_a_step_is_found_by_either_note(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "r1")
    folder.make()
    noted, in_row = RunProcess(pid=7, since=1.0), {"process_id": 8, "process_since": 2.0}
    assert processes_of(None, folder) == []
    assert processes_of({"process_id": None}, folder) == []
    assert processes_of(in_row, folder) == [RunProcess(pid=8, since=2.0)]
    folder.note_process(noted)
    assert processes_of(in_row, folder) == [noted, RunProcess(pid=8, since=2.0)]
    assert processes_of({"process_id": 7, "process_since": 1.0}, folder) == [noted]
