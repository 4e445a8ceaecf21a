"""`kefu chat` and `kefu ask` against a running gateway."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner

from bot.chat import ask, chat
from bot.errors import GatewayUnreachable


@pytest.fixture
def terminal(running: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KEFU_PORT", str(running.client.port))

    async def run(command: Any, *arguments: str, typed: str = "") -> Any:
        # The commands block, so they run beside the loop that serves them.
        return await asyncio.to_thread(CliRunner().invoke, command, arguments, input=typed)

    return run


async def test_ask_prints_what_was_understood_and_done(terminal: Any) -> None:
    result = await terminal(ask, "where is my parcel", "--json")
    answer = json.loads(result.output)
    assert answer["text"] == "where is my parcel"
    assert answer["intent"] == {"name": "track_order", "confidence": 0.97}
    assert answer["emotion"] == {"name": "angry", "confidence": 0.9}
    assert answer["replies"] == [{"text": "echo where is my parcel", "buttons": []}]
    assert answer["answer"] == {"qa": None, "actions": ["utter_echo"]}
    assert answer["model_version"] == "20260101-1"
    assert answer["timing_ms"]["nlu"] == 3.0
    assert answer["conversation_id"]
    plain = await terminal(ask, "where is my parcel")
    assert "intent: track_order (0.97)" in plain.output


async def test_chat_shows_replies_and_takes_a_number_for_a_button(
    terminal: Any, dialogue: Any
) -> None:
    dialogue.reply = lambda body: {
        "replies": [
            {
                "text": "Which one?",
                "buttons": [
                    {"title": "The first", "payload": "/affirm"},
                    {"title": "The second", "payload": "/deny"},
                ],
                "metadata": {},
            }
        ]
    }
    result = await terminal(chat, typed="hello\n2\n\n")
    assert result.exit_code == 0
    assert "bot> Which one?" in result.output
    assert "2) The second" in result.output
    assert dialogue.texts == ["hello", "/deny"]
    assert [turn["metadata"]["literal"] for turn in dialogue.turns] == [False, False]


async def test_chat_goes_on_after_a_refusal(terminal: Any) -> None:
    result = await terminal(chat, typed="x" * 5000 + "\nhello\n")
    assert "the limit is 4000" in result.output
    assert "echo hello" in result.output


def test_without_a_gateway_it_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEFU_PORT", "9")
    result = CliRunner().invoke(ask, ["hello"])
    assert isinstance(result.exception, GatewayUnreachable)
    assert "kefu up" in str(result.exception)
