import json
import shutil
from pathlib import Path

import pytest

from nlu.bundle import BundleStore, open_bundle, unfinished
from nlu.errors import BundleError, UnknownVersion, VersionInUse
from nlu.trial import Trial


@pytest.fixture
def store(models_dir: Path, tmp_path: Path) -> BundleStore:
    """A copy of the trained bundle under two versions, the second the first's child."""
    store = BundleStore(tmp_path)
    for version, parent in (("v1", None), ("v2", "v1")):
        shutil.copytree(models_dir / "nlu" / "first", store.root / version)
        path = store.root / version / "manifest.json"
        fields = json.loads(path.read_text()) | {"version": version, "parent": parent}
        path.write_text(json.dumps(fields))
    return store


def test_an_intact_bundle_opens(store: BundleStore) -> None:
    bundle = open_bundle(store.folder("v1"))
    assert bundle.version == "v1"
    assert bundle.labels.intent == ("greet", "pay", "track_order")
    assert bundle.labels.emotion == ("angry", "happy")
    assert bundle.labels.tags[0] == "O"
    assert set(bundle.calibration.temperatures) >= {"intent", "lexical.intent"}


def test_a_changed_file_is_named(store: BundleStore) -> None:
    path = store.root / "v1" / "classifier.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"classifier\.onnx was changed"):
        open_bundle(store.folder("v1"))


def test_a_missing_file_is_named(store: BundleStore) -> None:
    (store.root / "v1" / "labels.json").unlink()
    with pytest.raises(BundleError, match=r"labels\.json is missing"):
        open_bundle(store.folder("v1"))


def test_a_cut_file_is_named(store: BundleStore) -> None:
    (store.root / "v1" / "tokenizer.json").write_text("{")
    with pytest.raises(BundleError, match=r"tokenizer\.json has 1 bytes"):
        open_bundle(store.folder("v1"))


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json is missing"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 9}', '{"format": 1, "colour": 2}'])
def test_a_broken_manifest_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BundleError):
        open_bundle(tmp_path)


def test_activate_and_roll_back(store: BundleStore) -> None:
    assert store.current() is None
    assert store.versions() == ["v1", "v2"]
    store.activate("v2")
    assert store.current() == "v2"
    assert store.previous() == "v1"
    assert store.roll_back() == "v1"
    with pytest.raises(BundleError, match="no earlier version"):
        store.previous()


def test_what_serves_is_tried_or_would_be_rolled_back_to_is_not_removed(store: BundleStore) -> None:
    for version in ("v3", "v4"):
        shutil.copytree(store.root / "v1", store.root / version)
    store.activate("v1")
    store.activate("v3")
    store.try_out(Trial(version="v4", share=0.1, salt="s"))
    assert store.served() == ["v3", "v1"]
    for version in ("v1", "v3", "v4"):
        with pytest.raises(VersionInUse, match=version):
            store.remove(version)
    assert store.remove("v2") > 1000
    assert store.versions() == ["v1", "v3", "v4"]
    assert not list(store.root.glob(".*"))
    with pytest.raises(UnknownVersion):
        store.remove("v2")


@pytest.mark.parametrize("version", ["v9", "../v1", "", ".hidden"])
def test_unknown_versions_are_refused(store: BundleStore, version: str) -> None:
    with pytest.raises(UnknownVersion, match="there are: v1, v2"):
        store.activate(version)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with unfinished(tmp_path / "v1") as folder:
            (folder / "x").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_finished_write_replaces_the_folder(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with unfinished(tmp_path / "v1") as folder:
            (folder / "x").write_text(text)
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]
    assert (tmp_path / "v1" / "x").read_text() == "new"


def test_what_a_killed_training_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".v0.4194999.tmp").mkdir()  # no such process: above the kernel's limit
    with unfinished(tmp_path / "v1"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]
