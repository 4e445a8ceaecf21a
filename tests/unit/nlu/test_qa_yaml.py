from pathlib import Path

import pytest

from nlu.errors import DataError
from nlu.qa_yaml import read_qa_wordings


def test_every_wording_teaches_the_intent(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        'pairs:\n- {id: a1, intent: pay, question: "How?", variants: [with what], answer: so}\n'
        "- {id: a2, question: untold, answer: so}\n"
    )
    examples = read_qa_wordings(tmp_path)
    assert [(e.text, e.intent, e.spans) for e in examples] == [
        ("How?", "pay", None),
        ("with what", "pay", None),
    ]


def test_no_folder_teaches_nothing(tmp_path: Path) -> None:
    assert read_qa_wordings(tmp_path / "qa") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pairs: [", "cannot be read"),
        ("- a", "list `pairs`"),
        ("pairs: [a]", "mapping"),
        ("pairs: [{id: a1, intent: pay, question: 3}]", "pair a1"),
    ],
)
def test_errors_name_file_and_pair(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_qa_wordings(tmp_path)
    assert "a.yml" in str(caught.value)
