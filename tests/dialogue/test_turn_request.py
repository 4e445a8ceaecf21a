"""What is no turn is refused by field."""

import json
from typing import Any

import pytest

from bot.dialogue.errors import BadTurn
from bot.dialogue.turn_request import LONGEST_TEXT, read_turn

GOOD = {"conversation_id": "c", "message_id": "m", "text": "hello"}


def refused(**changes: Any) -> BadTurn:
    fields = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    with pytest.raises(BadTurn) as caught:
        read_turn(json.dumps(fields).encode())
    return caught.value


def test_a_whole_turn_is_read() -> None:
    body = {**GOOD, "metadata": {"literal": True, "channel": "web"}}
    turn = read_turn(json.dumps(body).encode())
    assert (turn.conversation_id, turn.message_id, turn.text) == ("c", "m", "hello")
    assert turn.literal
    assert turn.metadata["channel"] == "web"


@pytest.mark.parametrize("name", ["conversation_id", "message_id", "text"])
@pytest.mark.parametrize("value", [..., None, 7, "", "  \n", ["x"], "a\x00b", "\ud800"])
def test_each_field_must_be_a_text_with_something_in_it(name: str, value: Any) -> None:
    error = refused(**{name: value})
    assert error.field == name
    assert error.status == 400


def test_a_long_text_is_too_large() -> None:
    assert refused(text="x" * (LONGEST_TEXT + 1)).status == 413
    assert refused(text=" " * 300_000).status == 413


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1]", b"7", b"[" * 5000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadTurn) as caught:
        read_turn(body)
    assert caught.value.field == "body"


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ([], "metadata"),
        (None, "metadata"),
        ({"literal": 1}, "metadata.literal"),
        ({"channel": 1}, "metadata.channel"),
    ],
)
def test_metadata_must_have_its_form(metadata: Any, field: str) -> None:
    assert refused(metadata=metadata).field == field
