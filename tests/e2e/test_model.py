"""The trained model on the held-out splits, through the engine that serves.

`docs/benchmarks.md` holds what it scores. These floors lie below that by what another machine's
rounding may cost; a head that learnt nothing falls far below them.
"""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def scores() -> dict[str, dict[str, float]]:
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "evaluate", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_intents(scores: dict[str, dict[str, float]]) -> None:
    assert scores["intent"]["n"] >= 46 * 8
    assert scores["intent"]["accuracy"] >= 0.90


def test_emotions(scores: dict[str, dict[str, float]]) -> None:
    assert scores["emotion"]["n"] >= 6 * 58
    assert scores["emotion"]["macro_f1"] >= 0.75


def test_entities(scores: dict[str, dict[str, float]]) -> None:
    assert scores["entities"]["n"] >= 100
    assert scores["entities"]["f1"] >= 0.87


def test_confidences_mean_what_they_say(scores: dict[str, dict[str, float]]) -> None:
    assert scores["intent"]["ece"] < 0.08
