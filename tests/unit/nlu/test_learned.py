import json
from pathlib import Path
from typing import Any

import pytest

from nlu.errors import DataError
from nlu.examples import EntitySpan, Example
from nlu.learned import read_learned, read_taught


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    row = {"text": "hello", "intent": None, "emotion": None, "entities": None}
    lines = [json.dumps({**row, "split": "train", "weight": 1.0, **own}) for own in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_rows_are_examples_with_their_weights_and_entities(tmp_path: Path) -> None:
    span = {"start": 6, "end": 15, "entity": "order_number", "value": "HP-204418"}
    write(
        tmp_path,
        {"text": "track HP-204418", "intent": "track_order", "entities": [span]},
        {"text": "so bad", "emotion": "angry", "weight": 0.5},
    )
    assert read_learned(tmp_path) == (
        Example(
            text="track HP-204418",
            intent="track_order",
            spans=(EntitySpan(start=6, end=15, entity="order_number", value="HP-204418"),),
        ),
        Example(text="so bad", emotion="angry", weight=0.5),
    )


def test_rows_to_test_with_are_never_trained_on(tmp_path: Path) -> None:
    write(tmp_path, {"intent": "greet"}, {"text": "hi", "intent": "greet", "split": "test"})
    assert [example.text for example in read_learned(tmp_path)] == ["hello"]


def test_the_same_row_counts_once(tmp_path: Path) -> None:
    write(tmp_path, {"intent": "greet"}, {"intent": "greet"})
    assert len(read_learned(tmp_path)) == 1


def test_rows_that_teach_an_answer_alone_are_for_the_retriever(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"text": "send it back?", "pair_id": "returns-1"},
        {"text": "late", "intent": "track_order", "pair_id": "delivery-2"},
        {"text": "kept apart", "pair_id": "returns-1", "split": "test"},
        {"intent": "greet"},
    )
    assert [example.text for example in read_learned(tmp_path)] == ["late", "hello"]
    assert read_taught(tmp_path) == (("send it back?", "returns-1"), ("late", "delivery-2"))


def test_what_nobody_spoke_of_can_be_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"intent": "greet", "source": "corrected"},
        {"text": "hi", "intent": "greet", "source": "pseudo"},
        {"text": "hey", "intent": "greet", "source": "agent", "split": "test"},
    )
    assert [e.text for e in read_learned(tmp_path, with_pseudo=False)] == ["hello"]


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "a"}', '{"split": "train"}'])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"intent": "greet"})
    with (tmp_path / "rows.jsonl").open("a", encoding="utf-8") as out:
        out.write(line + "\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:2: not a row"):
        read_learned(tmp_path)


def test_a_folder_without_rows_is_no_version(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no version of the training data"):
        read_learned(tmp_path)
