"""A customer's turns leave files of every format that exports write; others' stay."""

import json
from pathlib import Path

import pytest
import yaml

from bot.log.export import write_jsonl, write_rasa
from bot.privacy.export_files import NotCleaned, Words, clean
from nlu.rasa_yaml import read_rasa_nlu

WORDS = Words.of(frozenset({"conversation-1", "turn-1"}), frozenset({"Where is  HP-1, I say?"}))


def turn(
    id_: str, conversation: str, text: str, entities: list[dict[str, object]]
) -> dict[str, object]:
    return {
        "id": id_,
        "conversation_id": conversation,
        "text": text,
        "intent": "track_order",
        "entities": entities,
        "annotation": None,
    }


TURNS = [
    turn(
        "turn-1",
        "conversation-1",
        "Where is HP-1, I say?",
        [{"entity": "order_number", "start": 9, "end": 13, "value": "HP-1"}],
    ),
    turn("turn-2", "conversation-2", "Where is ${HOME}: mine?", []),
]


def test_json_lines_go_by_id_also_deep_inside(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    with path.open("w") as out:
        write_jsonl(TURNS, out)
        out.write(json.dumps({"text": "other words", "source": {"turns": ["turn-1"]}}) + "\n")
    path.chmod(0o600)
    assert clean(path, "jsonl", WORDS) == 2
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["turn-2"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert clean(path, "jsonl", WORDS) == 0


def test_examples_go_by_their_text_whatever_is_annotated(tmp_path: Path) -> None:
    path = tmp_path / "nlu.yml"
    with path.open("w") as out:
        write_rasa(TURNS, out)
    assert "[HP-1](order_number)" in path.read_text()
    assert clean(path, "rasa", WORDS) == 1
    assert "HP-1" not in path.read_text()
    # What is left reads as before, quoted as Rasa needs it.
    assert '"Where is ${HOME}: mine?"' in path.read_text()
    assert [one.text for one in read_rasa_nlu(path).examples] == ["Where is ${HOME}: mine?"]


def test_rasas_own_way_to_write_examples_too(tmp_path: Path) -> None:
    path = tmp_path / "nlu.yml"
    document = {
        "version": "3.1",
        "nlu": [
            {
                "intent": "track_order",
                "examples": "- Where is [HP-1](order_number), I say?\n- Where is mine?\n",
            }
        ],
    }
    path.write_text(yaml.safe_dump(document))
    assert clean(path, "rasa", WORDS) == 1
    assert [one.text for one in read_rasa_nlu(path).examples] == ["Where is mine?"]


def test_rows_of_a_table_go_and_its_header_stays(tmp_path: Path) -> None:
    path = tmp_path / "emotion.csv"
    path.write_text('text,emotion\n"where is HP-1, I say?",angry\n"two\nlines",happy\n')
    assert clean(path, "csv", WORDS) == 1
    assert path.read_text() == 'text,emotion\n"two\nlines",happy\n'


def test_what_cannot_be_cleaned_says_why(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_text("no json\n")
    with pytest.raises(NotCleaned, match="by hand"):
        clean(path, "jsonl", WORDS)
    with pytest.raises(NotCleaned, match="zip"):
        clean(path, "zip", WORDS)
    with pytest.raises(FileNotFoundError):
        clean(tmp_path / "moved.jsonl", "jsonl", WORDS)
    assert path.read_text() == "no json\n"


@pytest.mark.parametrize(
    "text",
    [
        "a family \U0001f468\u200d\U0001f469 of two",
        "\ufeffwith a mark",
        "zero\u200bwidth",
        "two\u2028lines",
        "- with a dash",
        "--- with dashes",
    ],
)
def test_a_text_is_found_as_the_export_wrote_it(tmp_path: Path, text: str) -> None:
    words = Words.of(frozenset(), frozenset({text}))
    path = tmp_path / "nlu.yml"
    with path.open("w") as out:
        write_rasa([turn("turn-1", "conversation-1", text, []), TURNS[1]], out)
    assert clean(path, "rasa", words) == 1
    assert [one.text for one in read_rasa_nlu(path).examples] == ["Where is ${HOME}: mine?"]
    # Rasa's own way, a list in one text.
    document = {"nlu": [{"intent": "a", "examples": f"- {text}\n- Where is mine?\n"}]}
    path.write_text(yaml.safe_dump(document))
    assert clean(path, "rasa", words) == 1
    assert [one.text for one in read_rasa_nlu(path).examples] == ["Where is mine?"]


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\u0085"])
def test_json_lines_end_only_at_a_newline(tmp_path: Path, end: str) -> None:
    path = tmp_path / "turns.jsonl"
    with path.open("w") as out:
        write_jsonl([TURNS[0], turn("turn-3", "conversation-3", f"two{end}lines", [])], out)
    assert clean(path, "jsonl", WORDS) == 1
    (line,) = path.read_text().removesuffix("\n").split("\n")
    assert json.loads(line)["text"] == f"two{end}lines"
