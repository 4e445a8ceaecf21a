from pathlib import Path

import pytest

from nlu.errors import DataError
from nlu.tables import read_emotion_table, read_intent_table, read_pairs


def test_csv_with_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,category\n"hello, you",greet\n', "utf-8")
    assert read_pairs(path, "text", "category") == [("hello, you", "greet")]


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('label\twords\ngreet\t"hello" you\n', "utf-8")
    (example,) = read_intent_table(path, "words", "label")
    assert (example.text, example.intent, example.spans) == ('"hello" you', "greet", None)


def test_emotions_have_default_columns(tmp_path: Path) -> None:
    path = tmp_path / "emotion.csv"
    path.write_text("text,emotion\ngrr,angry\n", "utf-8")
    assert read_emotion_table(path)[0].emotion == "angry"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,intent\n", "no rows"),
        ("words,intent\na,b\n", "no column 'text'; the header has: words, intent"),
        ("text,intent\na,\n", "2: column 'intent' is empty"),
        ("", "no column"),
        ('text,intent\n"a,b\n', "not valid CSV"),
    ],
)
def test_errors_say_what_is_wrong(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError, match=words):
        read_pairs(path, "text", "intent")


def test_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder"):
        read_pairs(tmp_path, "text", "intent")
    with pytest.raises(DataError, match="no such file"):
        read_pairs(tmp_path / "x.csv", "text", "intent")


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,intent\n\xff,b\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_pairs(path, "text", "intent")
