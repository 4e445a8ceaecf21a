import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from nlu.cli import evaluate, models, train

TABLE = "text,label\n" + "".join(
    f"{text} {n},{name}\n"
    for name, text in (("greet", "hello there"), ("pay", "i pay with visa"))
    for n in range(6)
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_encoder: Path):
    monkeypatch.setenv("KEFU_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("KEFU_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KEFU_BASE_MODEL", str(tiny_encoder))
    monkeypatch.setenv("KEFU_DEVICE", "cpu")
    runner = CliRunner()

    def invoke(command, *args: object):
        return runner.invoke(command, [str(arg) for arg in args])

    return invoke


def test_train_evaluate_and_switch_versions(run, tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_text(TABLE)
    common = ["--intents", table, "--label", "label", "--epochs", 1, "--json"]
    versions = []
    for seed in (1, 2):
        out = tmp_path / "models" / "nlu" / f"v{seed}"
        result = run(train, *common, "--seed", seed, "--out", out)
        assert result.exit_code == 0, result.output
        summary = json.loads(result.stdout)
        assert set(summary["validation"]) == {"intent"}
        versions.append(summary["model_version"])
    assert versions == ["v1", "v2"]
    assert run(models, "activate", "v2").exit_code == 0

    result = run(evaluate, "--intents", table, "--label", "label", "--json")
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert (scores["model_version"], scores["intent"]["n"]) == ("v2", 12)
    assert set(scores["intent"]) >= {"accuracy", "macro_f1", "ece", "confusions"}

    assert run(models, "rollback").output == "current is v1\n"
    listed = json.loads(run(models, "list", "--json").stdout)
    assert listed["current"] == "v1"
    assert [entry["version"] for entry in listed["models"]] == ["v1", "v2"]


def test_corrections_are_learned_and_what_serves_stays(run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    yaml = 'version: "3.1"\nnlu:\n'
    for intent, text in (("greet", "hello there"), ("pay", "i pay with visa")):
        examples = "".join(f"    - {text} {n}\n" for n in range(6))
        yaml += f"- intent: {intent}\n  examples: |\n{examples}"
    (data / "nlu.yml").write_text(yaml)
    corrections = tmp_path / "corrections"
    corrections.mkdir()
    (corrections / "nlu.yml").write_text(yaml.replace("pay", "settle", 1))
    (corrections / "emotion.csv").write_text("text,emotion\nhello there 1,happy\nbad,angry\n")
    result = run(
        train, "--corrections", corrections, "--no-activate", "--epochs", 1, "--seed", 1, "--json"
    )
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    bundle = Path(summary["path"])
    labels = json.loads((bundle / "labels.json").read_text())
    assert set(labels["intent"]) == {"greet", "settle"}
    assert set(labels["emotion"]) == {"happy", "angry"}
    assert not (bundle.parent / "current").exists()


@pytest.mark.parametrize(
    ("command", "args", "words"),
    [
        (train, [], "nlu.yml: no such file"),
        (train, ["--data", "x", "--intents", "y"], "not both"),
        (train, ["--intents", "none.csv"], "none.csv: no such file"),
        (evaluate, [], "give --intents or --emotions"),
        (models, ["activate", "v7"], "none; run `kefu train`"),
        (models, ["rollback"], "run `kefu train`"),
    ],
)
def test_failures_are_one_line_that_says_what_to_do(run, command, args, words) -> None:
    result = run(command, *args)
    assert result.exit_code == 1
    assert words in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_evaluate_without_a_model_says_to_train(run, tmp_path: Path) -> None:
    table = tmp_path / "test.csv"
    table.write_text(TABLE)
    result = run(evaluate, "--intents", table, "--label", "label")
    assert "no model is trained yet; run `kefu train`" in result.output


def test_no_models_are_said(run) -> None:
    assert "no models yet" in run(models, "list").output
