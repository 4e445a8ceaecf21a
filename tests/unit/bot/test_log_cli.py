"""`kefu log` reads what the gateway wrote."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.errors import ConversationMissing, LogMissing
from bot.log.cli import log


@pytest.fixture
def kefu_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("KEFU_DATABASE_URL", f"sqlite:///{tmp_path / 'kefu.db'}")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(log, arguments)

    return run


async def test_show_prints_turns(running: Any, kefu_log: Any) -> None:
    conversation, other = await running.converse(), await running.converse()
    await conversation.say("1", "hello \x1b[31m")
    await other.say("1", "good morning")
    shown = kefu_log("show", conversation.id).output
    assert "> hello" in shown
    assert "\x1b" not in shown
    assert "< echo hello" in shown
    assert "track_order 0.97, angry 0.90" in shown
    assert "good morning" not in shown
    lines = kefu_log("show", "--last", "1", "--json").output.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["good morning"]


async def test_export_writes_files(running: Any, kefu_log: Any, tmp_path: Path) -> None:
    conversation = await running.converse()
    await conversation.say("1", "hello")
    out = tmp_path / "turns.jsonl"
    done = kefu_log("export", "--format", "jsonl", "--out", str(out), "--json")
    assert json.loads(done.output)["written"] == 1
    assert json.loads(out.read_text())["text"] == "hello"
    later = ("--since", "2999-01-01")
    done = kefu_log("export", "--format", "rasa", "--out", str(tmp_path / "nlu.yml"), *later)
    assert done.output.startswith("0 examples")


async def test_erase_leaves_only_the_fact(running: Any, kefu_log: Any) -> None:
    conversation = await running.converse()
    await conversation.say("1", "hello")
    assert "2 messages" in kefu_log("erase", conversation.id).output
    assert isinstance(kefu_log("show", conversation.id).exception, ConversationMissing)
    assert isinstance(kefu_log("erase", conversation.id).exception, ConversationMissing)


def test_without_a_log_it_says_how_to_get_one(kefu_log: Any) -> None:
    missing = kefu_log("show").exception
    assert isinstance(missing, LogMissing)
    assert "start kefu" in str(missing)
