"""What differs between two versions, and what `kefu data` prints of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.learning.datasets.cli import data
from bot.learning.datasets.diff import changes, difference
from bot.learning.datasets.errors import DatasetMissing
from bot.learning.datasets.row import Row
from bot.learning.datasets.store import DatasetStore
from bot.log import dataset_versions
from bot.log.database import open_engine, upgrade

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LEFT, RIGHT = "20260504T120000-001", "20260511T120000-001"


def row(turn_id: str, intent: str | None, **more: Any) -> Row:
    return Row(
        **{
            "turn_id": turn_id,
            "conversation_id": "c",
            "customer": "c",
            "text": f"secret words of {turn_id}",
            "source": "corrected",
            "at": NOW.isoformat(),
            "intent": intent,
        }
        | more
    )


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    """A version and its child: one row went, one came, two teach something else."""
    store = DatasetStore(tmp_path)
    left = [
        row("same", "track_order"),
        row("gone", "track_order"),
        row("moved", "track_order"),
        row("felt", "track_order", emotion="calm"),
        row("weighed", "track_order", weight=0.5),
    ]
    right = [
        row("felt", "track_order", emotion="angry"),
        row("moved", "cancel_order"),
        row("same", "track_order"),
        row("weighed", "track_order", weight=1.0),
        row("new", None, source="clicked", pair_id="p1"),
    ]
    store.seal(left, parent=None, until=NOW, now=NOW)
    store.seal(right, parent=LEFT, until=NOW, now=NOW + timedelta(days=7))
    return store


def test_rows_that_came_went_or_teach_something_else_are_told(store: DatasetStore) -> None:
    found = [(one.kind, one.row.turn_id, one.labels()) for one in changes(store, LEFT, RIGHT)]
    assert found == [
        ("removed", "gone", {"intent": ("track_order", None), "split": ("train", None)}),
        ("relabelled", "felt", {"emotion": ("calm", "angry")}),
        ("relabelled", "moved", {"intent": ("track_order", "cancel_order")}),
        ("added", "new", {"pair_id": (None, "p1"), "split": (None, "train")}),
    ]
    told = difference(store, LEFT, RIGHT)
    assert told.rows == {LEFT: 5, RIGHT: 5}
    assert told.changes == {"added": 1, "removed": 1, "relabelled": 2}
    assert told.by_intent == {
        "added": {"": 1},
        "removed": {"track_order": 1},
        "relabelled": {"track_order": 1, "cancel_order": 1},
    }
    assert told.by_source["added"] == {"clicked": 1}
    assert told.moved == {"track_order > cancel_order": 1}


def test_a_version_does_not_differ_from_itself(store: DatasetStore) -> None:
    assert list(changes(store, RIGHT, RIGHT)) == []
    assert difference(store, RIGHT, RIGHT).changes == {"added": 0, "removed": 0, "relabelled": 0}
    with pytest.raises(DatasetMissing):
        difference(store, LEFT, "20260601T000000-001")


@pytest.fixture
def kefu(store: DatasetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEFU_STATE_DIR", str(tmp_path))

    def run(*args: str) -> Result:
        return CliRunner().invoke(data, args)

    return run


def test_versions_are_listed_and_shown(kefu: Any) -> None:
    lines = kefu("list").output.splitlines()
    assert lines[0] == f"{LEFT}  5 rows (5 corrected)"
    assert lines[1] == f"{RIGHT}  5 rows (1 clicked, 4 corrected)"
    listed = json.loads(kefu("list", "--json").output)["versions"]
    assert [one["version"] for one in listed] == [LEFT, RIGHT]
    assert listed[1]["sources"] == {"clicked": 1, "corrected": 4}
    shown = kefu("show").output
    assert f"version  {RIGHT}" in shown
    assert f"parent   {LEFT}" in shown
    assert "by intent: 3 track_order, 1 cancel_order" in shown
    assert json.loads(kefu("show", LEFT, "--json").output)["rows"] == 5
    missing = kefu("show", "20200101T000000-001")
    assert isinstance(missing.exception, DatasetMissing)
    assert "kefu data list" in str(missing.exception)


def test_the_difference_is_readable_and_without_words_unless_they_are_asked_for(kefu: Any) -> None:
    plain = kefu("diff").output
    assert plain.splitlines()[0] == f"{LEFT} (5 rows) > {RIGHT} (5 rows)"
    assert "+ 1 added" in plain
    assert "intents that changed: 1 track_order > cancel_order" in plain
    rows = kefu("diff", LEFT, RIGHT, "--rows").output
    assert "~ moved  corrected: intent track_order > cancel_order" in rows.splitlines()
    assert "+ new  clicked: pair_id p1" in rows.splitlines()
    assert "secret words" not in rows
    assert "secret words of moved" in kefu("diff", "--texts").output
    first, *others = map(json.loads, kefu("diff", RIGHT, "--rows", "--json").output.splitlines())
    assert first["changes"] == {"added": 1, "removed": 1, "relabelled": 2}
    assert [one["change"] for one in others] == ["removed", "relabelled", "relabelled", "added"]
    assert others[2]["labels"] == {"intent": ["track_order", "cancel_order"]}
    refused = kefu("diff", LEFT)
    assert refused.exit_code == 2
    assert "has no parent" in refused.output


def test_files_are_checked_against_their_hashes_and_the_database(
    kefu: Any, store: DatasetStore, tmp_path: Path
) -> None:
    upgrade(f"sqlite:///{tmp_path / 'kefu.db'}")
    engine = open_engine(f"sqlite:///{tmp_path / 'kefu.db'}", writer=True)
    with engine.begin() as connection:
        for version in (LEFT, RIGHT):
            row = store.manifest(version).as_row()
            dataset_versions.register(connection, row=row)
            dataset_versions.register(connection, row=row)
        assert dataset_versions.names(connection) == [LEFT, RIGHT]
        newest = dataset_versions.listing(connection, limit=1)
        assert [(one["version"], one["parent"]) for one in newest] == [(RIGHT, LEFT)]
    engine.dispose()
    whole = kefu("verify")
    assert (whole.exit_code, whole.output) == (0, f"{LEFT}  whole\n{RIGHT}  whole\n")
    # Somebody who changes a row and its hash leaves the database's word about it.
    store.erase(["nobody"])
    manifest = store.folder(LEFT) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": 5', '"rows": 4'))
    (store.folder(RIGHT) / "rows.jsonl").write_text("")
    wrong = kefu("verify", "--json")
    assert wrong.exit_code == 1
    assert json.loads(wrong.output)["versions"] == {
        LEFT: ["manifest.json: it is not the one that the database knows"],
        RIGHT: ["rows.jsonl: it was changed, its sha256 is not the manifest's"],
    }
    manifest.unlink()
    assert json.loads(kefu("verify", "--json").output)["versions"][LEFT] == [
        "its folder is missing here"
    ]
