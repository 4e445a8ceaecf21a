"""Where the dialogue process keeps its turns, and which model it takes."""

import os
from pathlib import Path

import pytest

from bot.dialogue.errors import NoDialogueModel
from bot.dialogue.model_files import (
    MODELS_KEPT,
    hash_inputs,
    model_files,
    newest_model,
    record_inputs,
    trained_from,
)
from bot.dialogue.settings import dialogue_database, read_settings


def test_sqlite_is_a_file_of_its_own() -> None:
    url = dialogue_database("sqlite:///somewhere/kefu.db", Path("state"))
    assert url == "sqlite:///state/dialogue.db"


def test_postgresql_is_shared_and_spoken_to_with_psycopg2() -> None:
    for url in ("postgresql+psycopg://u:p@host/kefu", "postgresql://u:p@host/kefu"):
        assert dialogue_database(url, Path("x")) == "postgresql+psycopg2://u:p@host/kefu"


def test_settings_come_from_the_environment_and_have_defaults() -> None:
    settings = read_settings({"KEFU_DIALOGUE_PORT": "7", "KEFU_NLU_URL": "http://nlu:1/"})
    assert (settings.port, settings.nlu_url) == (7, "http://nlu:1")
    assert settings.actions_url == "http://127.0.0.1:5055"
    assert settings.model_folder == Path("models/dialogue")


def test_without_a_model_the_message_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(NoDialogueModel, match=r"train\.py"):
        newest_model(tmp_path)


def test_the_newest_model_is_taken_and_old_ones_go(tmp_path: Path) -> None:
    for number in range(MODELS_KEPT + 2):
        model = tmp_path / f"model-{number}.tar.gz"
        model.write_bytes(b"")
        os.utime(model, (number, number))
        record_inputs(model, f"hash {number}")
    assert newest_model(tmp_path) == model
    assert trained_from(tmp_path) == f"hash {MODELS_KEPT + 1}"
    assert len(model_files(tmp_path)) == MODELS_KEPT
    assert len(list(tmp_path.glob("*.json"))) == MODELS_KEPT


def test_a_changed_input_changes_the_hash(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("a")
    before = hash_inputs([rules], "3.6.21")
    assert hash_inputs([rules], "3.6.20") != before
    rules.write_text("b")
    assert hash_inputs([rules], "3.6.21") != before
