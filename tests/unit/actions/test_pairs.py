"""Reading QA pairs from YAML and CSV."""

from pathlib import Path

import pytest

from actions.errors import DataFileError
from actions.qa.pairs import CsvColumns, read_csv_pairs, read_yaml_pairs


def test_a_pair_lists_its_question_and_each_other_wording_once(qa_folder: Path) -> None:
    pairs = read_yaml_pairs(qa_folder / "delivery.yml")
    assert [pair.id for pair in pairs] == ["delivery-001", "delivery-002", "returns-001"]
    assert pairs[0].category == "delivery"
    assert pairs[0].wordings == (
        "How long does standard delivery take?",
        "when does my parcel usually come",
        "delivery time",
    )


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("category: x\npairs: [", "not valid YAML"),
        ("pairs: []", "`category`"),
        ("category: x", "`pairs:`"),
        ("category: x\npairs: [{id: a, intent: i, question: q}]", "pair a: `answer`"),
        ("category: x\npairs: [{id: a, intent: i, question: q, answer: a, variants: 3}]", "varia"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "x.yml"
    file.write_text(content)
    with pytest.raises(DataFileError, match=named) as caught:
        read_yaml_pairs(file)
    assert str(file) in str(caught.value)


def test_rows_with_one_answer_become_one_pair(tmp_path: Path) -> None:
    file = tmp_path / "faq.csv"
    file.write_text("q,a,l\nfirst?,yes,i\nsecond?,yes,i\nthird?,yes,other\n")
    columns = CsvColumns(question="q", answer="a", intent="l")
    pairs = read_csv_pairs(file, columns)
    assert [pair.wordings for pair in pairs] == [("first?", "second?"), ("third?",)]
    assert read_csv_pairs(file, columns)[0].id == pairs[0].id


def test_a_tsv_has_no_quoting(tmp_path: Path) -> None:
    file = tmp_path / "faq.tsv"
    file.write_text('q\ta\nwhat is 5" in cm?\t12.7\n')
    pairs = read_csv_pairs(file, CsvColumns(question="q", answer="a"))
    assert pairs[0].question == 'what is 5" in cm?'
    assert pairs[0].intent == ""


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("x,a\n1,2\n", "no column 'q'; there are: x, a"),
        ("q,a\n,2\n", "column 'q' is empty"),
        ("q,a\n1\n", "too few columns"),
        ("q,a\n", "no rows"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "faq.csv"
    file.write_text(content)
    with pytest.raises(DataFileError, match=named):
        read_csv_pairs(file, CsvColumns(question="q", answer="a"))


def test_the_fingerprint_changes_with_the_answer(qa_folder: Path) -> None:
    before = read_yaml_pairs(qa_folder / "delivery.yml")
    file = qa_folder / "delivery.yml"
    file.write_text(file.read_text().replace("30 days", "31 days"))
    after = read_yaml_pairs(file)
    assert [a.fingerprint == b.fingerprint for a, b in zip(before, after, strict=True)] == [
        True,
        True,
        False,
    ]
