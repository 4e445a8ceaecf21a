"""`kefu prove` with bundles that were trained, from the command to the page."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.learning.proof.cli import prove_command
from bot.log.database import open_engine, upgrade
from nlu.examples import TrainingData
from tests.integration.review_log import add_turn
from tests.unit.nlu import conftest as small

# The small bundle of the plumbing tests, and what it is made of.
models_dir = small.models_dir
tiny_encoder = small.tiny_encoder
tokenizer_file = small.tokenizer_file
training_data = small.training_data

TEST_SET = """\
version: "3.1"
nlu:
- intent: greet
  examples: |
    - good morning to you
    - hello you
- intent: track_order
  examples: |
    - where is my parcel
    - track [HP-204421](order_number)
- intent: out_of_scope
  examples: |
    - sing me a song
"""


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    models_dir: Path,
    tiny_encoder: Path,
    training_data: TrainingData,
) -> Path:
    """A models folder with two small versions: `first` is current, `second` knows no `pay`."""
    from nlu.build import Order, build
    from nlu.progress import Progress
    from nlu.recipe import Recipe

    root = tmp_path_factory.mktemp("trained") / "models"
    shutil.copytree(models_dir, root)
    order = Order(
        target=root / "nlu" / "second",
        base_model=str(tiny_encoder),
        device="cpu",
        recipe=Recipe(epochs=1, batch_size=8, validation_share=0.2, lr=1e-3),
        parent=None,
        now=datetime(2026, 1, 2, tzinfo=UTC),
    )
    fewer = tuple(e for e in training_data.examples if e.intent != "pay")
    build(replace(training_data, examples=fewer), order, Progress(quiet=True))
    return root


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the models, a test set and a log with two messages."""
    shutil.copytree(trained, tmp_path / "models")
    (tmp_path / "data" / "test").mkdir(parents=True)
    (tmp_path / "data" / "test" / "nlu.yml").write_text(TEST_SET, "utf-8")
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'kefu.db'}"
    monkeypatch.setenv("KEFU_DATABASE_URL", url)
    upgrade(url)
    engine = open_engine(url, writer=True)
    with engine.begin() as connection:
        add_turn(connection, "t1", "may i pay by card", minute=1)
        add_turn(connection, "t2", "pay with card", minute=2)
    engine.dispose()
    return tmp_path


def copied(home: Path, version: str, name: str) -> None:
    """The same version under another name."""
    folder = home / "models" / "nlu" / name
    shutil.copytree(home / "models" / "nlu" / version, folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": name}), "utf-8")


def test_a_version_against_its_copy_is_held(home: Path) -> None:
    copied(home, "first", "twin")
    done = CliRunner().invoke(prove_command, ["twin", "--json", "--out", "proof"])
    assert done.exit_code == 3, done.output
    kept = json.loads(done.output)
    assert kept["verdict"]["decision"] == "hold"
    assert (kept["champion"], kept["challenger"]) == ("first", "twin")
    assert (
        kept["verdict"]["figures"]["gain"] | {"gained": 0, "lost": 0, "n": 5}
        == (kept["verdict"]["figures"]["gain"])
    )
    assert kept["verdict"]["figures"]["out_of_scope"]["n"] == 1
    assert kept["shadow"]["turns"] == 2
    assert kept["shadow"]["changes"] == []
    assert json.loads((home / "proof" / "proof.json").read_text("utf-8")) == kept


def test_a_version_that_lost_an_intent_is_refused_with_a_page(home: Path) -> None:
    done = CliRunner().invoke(prove_command, ["second", "--html", "proof.html"])
    assert done.exit_code == 4, done.output
    assert done.output.startswith("refuse: second against first")
    assert "- The challenger does not know what the champion knows (intents: pay" in done.output
    page = (home / "proof.html").read_text("utf-8")
    assert "may i pay by card" in page
    assert "may i pay by card" not in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["first"], "name another"),
        (["nothing"], "no model version 'nothing'"),
        (["second", "--against", "gone"], "no model version 'gone'"),
        (["second", "--dataset", "20260101T000000-000"], "20260101T000000-000"),
    ],
)
def test_what_cannot_be_proven_is_said_in_one_line(
    home: Path, arguments: list[str], said: str
) -> None:
    done = CliRunner().invoke(prove_command, arguments)
    assert done.exit_code not in (0, 3, 4)
    assert said in str(done.exception)


def test_without_a_test_set_there_is_nothing_to_prove(home: Path) -> None:
    shutil.rmtree(home / "data" / "test")
    done = CliRunner().invoke(prove_command, ["second"])
    assert "there is no test text" in str(done.exception)


def test_without_a_log_the_shadow_is_left_out(home: Path) -> None:
    (home / "kefu.db").unlink()
    done = CliRunner().invoke(prove_command, ["second", "--json"])
    assert json.loads(done.output)["shadow"]["turns"] == 0
