"""Fixtures of the tests that need Rasa; in another environment they are not collected."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

if importlib.util.find_spec("rasa") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.dialogue.fakes import FakeServices
    from tests.dialogue.processes import DialogueProcess


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the data as they are; trained unless there is one already."""
    from importlib.metadata import version

    from bot.dialogue import train
    from bot.dialogue.model_files import hash_inputs, trained_from

    inputs = hash_inputs([train.DOMAIN, train.CONFIG, *train.DATA, *train.CODE], version("rasa"))
    if trained_from(ROOT / "models" / "dialogue") == inputs:
        return ROOT / "models"
    folder = tmp_path_factory.mktemp("models")
    environment = {**os.environ, "KEFU_MODELS_DIR": str(folder)}
    subprocess.run([sys.executable, "bot/dialogue/train.py"], cwd=ROOT, env=environment, check=True)
    return folder


@pytest.fixture
def services() -> Iterator["FakeServices"]:
    """Fake understanding and actions for one test."""
    fakes = FakeServices()
    yield fakes
    fakes.stop()


@pytest.fixture(scope="module")
def shared_services() -> Iterator["FakeServices"]:
    """Fake understanding and actions for a module's tests."""
    fakes = FakeServices()
    yield fakes
    fakes.stop()


@pytest.fixture(scope="module")
def dialogue(
    shared_services: "FakeServices", models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["DialogueProcess"]:
    """A running dialogue process for a module's tests."""
    state = tmp_path_factory.mktemp("state")
    process = DialogueProcess(shared_services.url, models_dir, state)
    yield process
    process.stop()
