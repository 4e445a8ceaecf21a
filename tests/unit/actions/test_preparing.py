"""`kefu qa prepare`: nothing is loaded where nothing is to be done."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from actions.database import open_database
from actions.qa.importing import Importer, read_changed
from actions.qa.preparing import prepare_command
from actions.qa.vectors import texts_to_embed
from actions.tables import metadata
from nlu.bundle import MANIFEST
from tests.unit.actions.conftest import FakeEmbedder

VERSION = "20260101-000000-aaaaaa"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models" / "nlu" / VERSION
    folder.mkdir(parents=True)
    fields = ("version", "created_at", "base_model", "mode", "dataset_sha256")
    manifest = dict.fromkeys(fields, "x") | {
        "embedder_id": "fake-2",
        "embedding_dim": 64,
        "max_tokens": 8,
        "seed": 1,
        "parent": None,
        "files": {},
        "format": 1,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    url = f"sqlite:///{tmp_path / 'kefu.db'}"
    for name, value in (
        ("KEFU_MODELS_DIR", tmp_path / "models"),
        ("KEFU_DATA_DIR", tmp_path),
        ("KEFU_DATABASE_URL", url),
    ):
        monkeypatch.setenv(name, str(value))
    database = open_database(url)
    metadata.create_all(database.engine)
    database.close()
    return tmp_path


def prepared(*arguments: str) -> str:
    result = CliRunner().invoke(prepare_command, [*arguments, "--json"])
    return result.stdout if result.exit_code == 0 else result.output


async def _fill(place: Path, qa_folder: Path) -> None:
    database = open_database(f"sqlite:///{place / 'kefu.db'}")
    await Importer(database, FakeEmbedder()).bring_in(read_changed(database, qa_folder))
    database.close()


def test_an_empty_store_needs_nothing(place: Path) -> None:
    assert json.loads(prepared(VERSION)) == {"embedder": "fake-2", "embedded": 0, "fitted": False}


def test_the_set_of_a_version_is_made_once(
    place: Path, qa_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    asyncio.run(_fill(place, qa_folder))
    loaded: list[Path] = []

    def load(folder: Path, settings: object) -> FakeEmbedder:
        loaded.append(folder)
        return FakeEmbedder("fake-2")

    monkeypatch.setattr("actions.local_embedder.bundle_embedder", load)
    assert json.loads(prepared(VERSION)) == {"embedder": "fake-2", "embedded": 12, "fitted": True}
    assert json.loads(prepared(VERSION))["embedded"] == 0
    assert len(loaded) == 1
    database = open_database(f"sqlite:///{place / 'kefu.db'}")
    assert database.reading(lambda c: texts_to_embed(c, "fake-2")) == []
    database.close()


def test_a_version_that_is_not_there_is_named(place: Path) -> None:
    assert "no model version 'gone'" in prepared("gone")
