"""The action server's answers are held to Rasa's schema."""

from typing import Any

import pytest
from jsonschema import ValidationError, validate
from rasa.core.actions.action import RemoteAction

from bot.dialogue.action_result import ActionResultCheck

SLOT = {"event": "slot", "timestamp": None, "name": "email", "value": None}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"events": [], "responses": []},
        {"events": [SLOT], "responses": [{"text": "hello", "buttons": []}]},
        {"events": [{"event": "active_loop", "name": None}]},
        {"events": [{"event": "slot"}]},
        {"events": [{"event": "no such thing"}]},
        {"events": [{"name": "email"}]},
        {"events": [7]},
        {"events": {}},
        {"responses": ["hello"]},
        {"responses": {}},
        {"events": [{**SLOT, "timestamp": "now"}]},
        [],
        None,
    ],
)
def test_it_agrees_with_the_whole_schema(answer: Any) -> None:
    try:
        validate(answer, RemoteAction.action_response_format_spec())
        right = True
    except ValidationError:
        right = False
    assert (ActionResultCheck().problem(answer) is None) == right
