"""The test conversations pass `rasa test core`."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_conversations_are_predicted_without_an_error(models_dir: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "rasa", "test", "core",
            "--model", str(models_dir / "dialogue"),
            "--stories", "tests/conversations",
            "--out", str(tmp_path),
            "--no-plot", "--fail-on-prediction-errors",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "None of the test stories failed" in (tmp_path / "failed_test_stories.yml").read_text()
