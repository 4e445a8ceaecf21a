from pathlib import Path

import pytest

from nlu.errors import DataError
from nlu.examples import TrainingData
from nlu.rasa_yaml import read_rasa_nlu


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "nlu.yml"
    path.write_text(text, "utf-8")
    return path


def test_reads_all_kinds(training_data: TrainingData) -> None:
    intents = [e for e in training_data.examples if e.intent]
    assert {e.intent for e in intents} == {"greet", "track_order", "pay"}
    assert training_data.synonyms == {"amex": "American Express", "am ex": "American Express"}
    assert training_data.lookups == {"payment_method": ("visa", "paypal")}
    assert training_data.regexes == {"order_number": (r"\bHP-\d{6}\b",)}
    tracked = next(e for e in intents if e.text == "where is HP-204418")
    assert [(s.start, s.end, s.entity) for s in tracked.spans or ()] == [(9, 18, "order_number")]


def test_reads_examples_as_list(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'version: "3.1"\nnlu:\n- intent: a\n  examples:\n  - text: |\n      - hey\n'
        "    metadata: {sentiment: neutral}\n  - text: you\n",
    )
    assert [e.text for e in read_rasa_nlu(path).examples] == ["hey", "you"]


def test_reads_a_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        file = tmp_path / f"{name}.yml"
        file.write_text(f'version: "3.1"\nnlu:\n- intent: {name}\n  examples: |\n    - {name}\n')
    (tmp_path / "stories.yml").write_text('version: "3.1"\nstories: []\n')
    assert [e.intent for e in read_rasa_nlu(tmp_path).examples] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("nlu:\n- intent: a\n  examples: |\n    - ok\n    wrong\n", 5, "intent a"),
        ('nlu:\n- intent: a\n  examples: |\n    - ok\n    - [x]{"entity": }\n', 5, "not JSON"),
        ("nlu:\n- intent: a\n", 2, "no examples"),
        ("nlu:\n- examples: |\n    - x\n", 2, "intent, synonym"),
        ("nlu: text\n", 1, "list"),
        ("nlu:\n- regex: r\n  examples: |\n    - (\n", 4, "regex r"),
        ("nlu:\n- regex: r\n  examples: |\n    - a*\n", 4, "empty text"),
        ('version: "2.0"\nnlu: []\n', 1, "3.1"),
        ("a: [\n", 2, "YAML"),
        ("- a\n", 1, "mapping"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=words) as caught:
        read_rasa_nlu(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_rasa_nlu(tmp_path / "none.yml")


def test_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.yml"):
        read_rasa_nlu(tmp_path)
