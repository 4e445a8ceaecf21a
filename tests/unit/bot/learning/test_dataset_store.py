"""Versions of the training data: sealed whole or not at all, checked, and erased from."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.learning.datasets.errors import DatasetBroken, DatasetMissing
from bot.learning.datasets.lines import conversation_of, turn_of
from bot.learning.datasets.manifest import Manifest
from bot.learning.datasets.row import SOURCES, Row
from bot.learning.datasets.store import DatasetStore

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def row(turn_id: str, **changes: Any) -> Row:
    plain = Row(
        turn_id=turn_id,
        conversation_id=f"of-{turn_id}",
        customer="c",
        text=f"words of {turn_id}",
        source="corrected",
        at=NOW.isoformat(),
        intent="track_order",
    )
    return replace(plain, **changes)


def sealed(store: DatasetStore, *rows: Row, now: datetime = NOW, **more: Any) -> Manifest:
    return store.seal(rows, **({"parent": None, "until": NOW, "now": now} | more))


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    return DatasetStore(tmp_path)


def test_a_sealed_version_has_the_rows_their_counts_and_their_hash(store: DatasetStore) -> None:
    rows = [
        row("t1", emotion="calm"),
        row("t2", intent="cancel_order", source="pseudo"),
        row("t3", split="test", intent=None, pair_id="p1"),
    ]
    manifest = sealed(store, *rows, run_id="run-1")
    assert manifest.version == "20260504T120000-001"
    assert store.versions() == [manifest.version]
    assert store.manifest(manifest.version) == manifest
    assert list(store.rows(manifest.version)) == rows
    assert manifest.counts == {
        "source": {"corrected": 2, "pseudo": 1},
        "intent": {"cancel_order": 1, "track_order": 1},
        "emotion": {"calm": 1},
        "split": {"test": 1, "train": 2},
    }
    assert (manifest.rows, manifest.erased, manifest.parent) == (3, 0, None)
    assert store.verify(manifest.version) == []
    folder = store.folder(manifest.version)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "rows.jsonl"]
    told = json.loads((folder / "manifest.json").read_text())
    assert told["files"]["rows.jsonl"]["bytes"] == (folder / "rows.jsonl").stat().st_size
    assert manifest.as_row()["sha256"] == manifest.sha256


def test_versions_sort_by_time_also_within_a_second_and_when_the_clock_goes_back(
    store: DatasetStore,
) -> None:
    made = [
        sealed(store, now=NOW + timedelta(seconds=seconds)).version
        for seconds in (0, 0, 5, -3600, 5, 6)
    ]
    assert made == sorted(made) == store.versions()
    assert len(set(made)) == 6


def test_a_run_seals_one_version_however_often_it_is_asked(store: DatasetStore) -> None:
    first = sealed(store, row("t1"), run_id="run-1")
    again = sealed(store, row("t2"), run_id="run-1", now=NOW + timedelta(days=1))
    assert again == first == store.of_run("run-1")
    assert sealed(store, row("t2"), run_id="run-2").version != first.version
    assert store.of_run("run-3") is None


def test_a_version_of_a_parent_that_is_not_there_is_not_sealed(store: DatasetStore) -> None:
    with pytest.raises(DatasetMissing, match="20260101T000000-001"):
        sealed(store, parent="20260101T000000-001")
    parent = sealed(store).version
    assert sealed(store, parent=parent).parent == parent


@pytest.mark.parametrize("version", ["", ".", "..", "../datasets", "20260504T120000-002", "x/y"])
def test_what_is_no_version_is_named(store: DatasetStore, version: str) -> None:
    sealed(store)
    with pytest.raises(DatasetMissing, match="kefu data list"):
        store.folder(version)


def test_what_fails_while_it_is_sealed_leaves_nothing(store: DatasetStore) -> None:
    def rows() -> Iterator[Row]:
        yield row("t1")
        raise ValueError("a broken line")

    with pytest.raises(ValueError, match="a broken line"):
        store.seal(rows(), parent=None, until=NOW, now=NOW)
    assert store.versions() == []
    assert [path.name for path in store.root.iterdir()] == [".lock"]


def _seal_and_die(state_dir: Path, after: int) -> None:
    def rows() -> Iterator[Row]:
        for number in range(after):
            yield row(f"t{number}")
        os.kill(os.getpid(), signal.SIGKILL)

    DatasetStore(state_dir).seal(rows(), parent=None, until=NOW, now=NOW)


def test_a_process_that_is_killed_leaves_no_version_and_the_next_removes_its_rest(
    tmp_path: Path, store: DatasetStore
) -> None:
    killed = multiprocessing.get_context("fork").Process(target=_seal_and_die, args=(tmp_path, 99))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert store.versions() == []
    assert [path.name for path in store.root.glob(".tmp-*")] == [".tmp-20260504T120000-001"]
    manifest = sealed(store, row("t1"))
    assert store.verify(manifest.version) == []
    assert list(store.root.glob(".tmp-*")) == []


def test_a_check_names_the_file_that_is_missing_or_changed(store: DatasetStore) -> None:
    version = sealed(store, row("t1")).version
    folder = store.folder(version)
    whole = (folder / "rows.jsonl").read_bytes()
    (folder / "rows.jsonl").write_bytes(whole.replace(b"track_order", b"other_thing"))
    assert store.verify(version) == ["rows.jsonl: it was changed, its sha256 is not the manifest's"]
    (folder / "rows.jsonl").write_bytes(whole + b"\n")
    assert store.verify(version) == ["rows.jsonl: it was changed, its sha256 is not the manifest's"]
    with pytest.raises(DatasetBroken, match="line 2 is no row"):
        list(store.rows(version))
    (folder / "rows.jsonl").unlink()
    assert store.verify(version) == ["rows.jsonl: it is missing"]
    (folder / "rows.jsonl").write_bytes(whole)
    (folder / "notes.txt").write_text("mine")
    assert store.verify(version) == ["notes.txt: the manifest does not know it"]
    (folder / "notes.txt").unlink()
    assert store.verify(version) == []
    (folder / "manifest.json").write_text('{"format": 9}')
    (fault,) = store.verify(version)
    assert fault.startswith("manifest.json: it is no manifest")


def test_an_erasure_takes_a_conversations_rows_out_of_every_version(store: DatasetStore) -> None:
    first = sealed(store, row("t1"), row("t2"), row("t3", conversation_id="of-t1"))
    second = sealed(store, row("t2"), parent=first.version)
    third = sealed(store, row("t1", split="test", emotion="angry"), row("t4"))
    assert store.erase(["of-t1", "of-nobody"]) == {first.version: 2, third.version: 1}
    assert [one.turn_id for one in store.rows(first.version)] == ["t2"]
    assert [one.turn_id for one in store.rows(third.version)] == ["t4"]
    after = store.manifest(third.version)
    assert (after.rows, after.erased) == (1, 1)
    assert after.counts["split"] == {"train": 1}
    assert after.counts["emotion"] == {}
    assert after.created_at == third.created_at
    assert after.sha256 != third.sha256
    assert store.manifest(second.version) == second
    for version in store.versions():
        assert store.verify(version) == []
    assert b"t1" not in b"".join(path.read_bytes() for path in store.root.rglob("*.json*"))
    # Again changes nothing, another adds to the count.
    assert store.erase(["of-t1"]) == {}
    assert store.erase(["of-t4"]) == {third.version: 1}
    assert store.manifest(third.version).erased == 2


@pytest.mark.parametrize("step", range(6))
def test_an_erasure_that_is_cut_off_anywhere_leaves_a_whole_version(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    version = sealed(store, row("t1"), row("t2")).version
    reached = []

    class Cut(Exception):
        """The process ends here."""

    def counted(real: Any) -> Any:
        def cut(*args: Any) -> Any:
            reached.append(real)
            if len(reached) == step + 1:
                raise Cut
            return real(*args)

        return cut

    with monkeypatch.context() as cut_off:
        cut_off.setattr(os, "fsync", counted(os.fsync))
        cut_off.setattr(Path, "replace", counted(Path.replace))
        with pytest.raises(Cut):
            store.erase(["of-t1"])
    # Whoever looks has all of it, or none of what is gone.
    assert store.verify(version) == []
    store.erase(["of-t1"])
    assert [one.turn_id for one in store.rows(version)] == ["t2"]
    assert store.verify(version) == []
    assert store.manifest(version).erased == 1


@settings(deadline=None)
@given(
    st.builds(
        Row,
        turn_id=st.text("abc-012", min_size=1),
        conversation_id=st.text("abc-012", min_size=1),
        customer=st.text("0123456789abcdef"),
        text=st.one_of(
            st.text(),
            st.sampled_from(['"conversation_id": "x"', '\\", "turn_id": "y", "', "\u2028\n\r"]),
        ),
        source=st.sampled_from(SOURCES),
        at=st.just(NOW.isoformat()),
        author=st.one_of(st.none(), st.text("abc-012", min_size=1)),
        entities=st.one_of(st.none(), st.just([{"entity": "a", "value": '"turn_id": "z"'}])),
    )
)
def test_whose_a_line_is_is_read_without_the_rest_of_it(one: Row) -> None:
    line = one.as_line().encode()
    assert line.count(b"\n") == 1
    assert (conversation_of(line), turn_of(line)) == (one.conversation_id, one.turn_id)
    other = json.dumps({"turn_id": one.turn_id, "n": {"conversation_id": 1}}, indent=None)
    assert conversation_of(other.encode()) == ""
    assert turn_of(other.replace(": ", ":").encode()) == one.turn_id
    assert Row.of_line(one.as_line()) == one
