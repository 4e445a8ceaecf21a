"""The learning loop with all its real parts: from corrected turns to a better model that serves."""

import json
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.bench.learning_shop import command, environment, in_log, kefu, open_shop
from bot.learning.datasets.store import DatasetStore
from bot.learning.proof.proof import read_proof
from bot.learning.run_folder import RunFolder
from bot.log import exposure, learning_runs, training_runs
from bot.settings import Settings
from nlu.bundle import BundleStore, open_bundle


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small shop; what its loop proves serves everyone."""
    return open_shop(tmp_path_factory.mktemp("shop"), learn_release="everyone")


def start(settings: Settings) -> subprocess.Popen[str]:
    """The loop once, as cron starts it."""
    return subprocess.Popen(
        command("learn", "--once", "--json"),
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_training(settings: Settings, process: subprocess.Popen[str]) -> dict[str, Any]:
    """The run when its training is under way."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        run = in_log(settings, training_runs.open_run)
        if run is not None and run["step"] == "train":
            checkpoints = RunFolder(settings.state_dir, run["id"]).checkpoints
            if checkpoints.is_dir() and any(checkpoints.iterdir()):
                return dict(run)
        time.sleep(0.1)
    pytest.fail(f"no training was seen: {process.communicate()}")


def test_the_loop_learns_what_was_corrected_though_it_is_killed(shop: Settings) -> None:
    bundles = BundleStore(shop.models_dir)
    first = bundles.current()
    assert first is not None
    killed = start(shop)
    run = until_training(shop, killed)
    os.kill(killed.pid, signal.SIGKILL)
    os.killpg(run["process_id"], signal.SIGKILL)
    killed.communicate()
    assert bundles.current() == first
    open_bundle(bundles.folder(first))

    later = start(shop)
    out, said = later.communicate(timeout=400)
    assert later.returncode == 0, said
    ended = json.loads(out)
    # It is the same run, gone on with.
    assert (ended["id"], ended["state"]) == (run["id"], "succeeded")
    assert (ended["verdict"]["decision"], ended["promoted"]) == ("promote", True)
    assert bundles.current() == ended["version"]
    bundle = open_bundle(bundles.folder(ended["version"]))
    assert bundle.manifest.parent == first
    assert "track" in bundle.labels.intent
    assert bundles.versions() == [first, ended["version"]]

    store = DatasetStore(shop.state_dir)
    manifest = store.manifest(ended["dataset"])
    assert store.verify(ended["dataset"]) == []
    assert (manifest.parent, manifest.counts["source"]) == (None, {"corrected": 25})
    trained = [row for row in store.rows(ended["dataset"]) if row.split == "train"]
    conversations = [row.conversation_id for row in trained]
    seen = in_log(shop, partial(exposure.versions_of, conversation_ids=conversations))
    assert seen == {ended["version"]: len(trained)}

    # No customer's words stay in the run's folder; what was proven does.
    folder = RunFolder(shop.state_dir, run["id"])
    assert {path.name for path in folder.path.iterdir()} == {"proof", "board"}
    proof = read_proof(folder.proof)
    assert (proof["champion"], proof["challenger"]) == (first, ended["version"])
    for path in folder.path.rglob("*"):
        assert path.is_dir() or b"parcel" not in path.read_bytes()

    again = json.loads(kefu("learn", "--once", "--json", settings=shop))
    assert again["verdict"]["decision"] == "nothing_new"
    assert bundles.versions() == [first, ended["version"]]
    assert in_log(shop, training_runs.open_run) is None
    assert len(in_log(shop, partial(learning_runs.latest, limit=5))) == 2


def test_a_shop_without_a_log_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, state_dir=tmp_path, models_dir=tmp_path)
    done = subprocess.run(
        command("learn", "--drift"),
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "start kefu once" in done.stderr
