"""`kefu log` reads what the gateway wrote."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.errors import ConversationMissing, LogMissing
from bot.log import exports, reader, reviews
from bot.log.annotations import Judgement
from bot.log.cli import log
from bot.privacy.cli import NobodyThere
from bot.world import utc_now
from nlu.rasa_yaml import read_rasa_nlu


@pytest.fixture
def kefu_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("KEFU_DATABASE_URL", f"sqlite:///{tmp_path / 'kefu.db'}")
    monkeypatch.setenv("KEFU_STATE_DIR", str(tmp_path))
    # Nobody listens there: what the dialogue remembers waits for a gateway that runs.
    for name in ("KEFU_DIALOGUE_URL", "KEFU_NLU_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

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


async def test_export_of_corrections_is_of_what_people_labelled(
    running: Any, kefu_log: Any, tmp_path: Path
) -> None:
    for text in ("hello", "where is my parcel"):
        await (await running.converse()).say("1", text)
    out = tmp_path / "corrections"
    arguments = ("--corrected", "--out", str(out), "--json")
    done = kefu_log("export", "--format", "jsonl", *arguments)
    assert json.loads(done.output)["written"] == 0
    journal = running.gateway.journal
    (turn, _) = await journal.read(lambda connection: list(reader.turns(connection)))
    judgement = Judgement(turn_id=turn["id"], agent_id="ann", intent="greet")
    record = partial(reviews.record, judgement=judgement, queued=False, id_="a1", now=utc_now())
    await journal.write(record)
    kefu_log("export", "--format", "jsonl", *arguments)
    line = json.loads(out.read_text())
    assert (line["text"], line["before"]["intent"]) == ("hello", "track_order")
    assert (line["after"]["intent"], line["author"]) == ("greet", "ann")
    kefu_log("export", "--format", "rasa", *arguments)
    (example,) = read_rasa_nlu(out).examples
    assert (example.text, example.intent) == ("hello", "greet")
    done = kefu_log("export", "--format", "rasa", *arguments, "--since", "2999-01-01")
    assert json.loads(done.output)["written"] == 0
    registered = await journal.read(lambda connection: exports.latest(connection, most=9))
    assert len(registered) == 4
    assert [row["count"] for row in registered] == [0, 1, 1, 0]
    assert registered[-2]["conversations"] == [turn["conversation_id"]]


async def test_an_export_that_is_cut_off_is_in_the_register(
    running: Any, kefu_log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await running.converse()).say("1", "hello")
    out = tmp_path / "turns.jsonl"

    def cut_off(turns: Any, file: Any) -> int:
        file.write("half a line")
        raise MemoryError

    monkeypatch.setattr("bot.log.cli.write_jsonl", cut_off)
    assert kefu_log("export", "--format", "jsonl", "--out", str(out)).exit_code != 0
    (row,) = await running.gateway.journal.read(lambda c: exports.latest(c, most=9))
    assert (row["path"], row["count"], row["conversations"]) == (str(out.resolve()), 0, None)


async def test_an_export_that_cannot_be_written_is_not_in_the_register(
    running: Any, kefu_log: Any, tmp_path: Path
) -> None:
    await (await running.converse()).say("1", "hello")
    assert kefu_log("export", "--format", "jsonl", "--out", str(tmp_path / "no" / "a")).exit_code
    assert await running.gateway.journal.read(lambda c: exports.latest(c, most=9)) == []


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


async def test_erase_tells_what_waits_for_a_gateway(running: Any, kefu_log: Any) -> None:
    conversation = await running.converse()
    await conversation.say("1", "hello")
    done = json.loads(kefu_log("erase", conversation.id, "--json").output)
    assert done["conversation_id"] == conversation.id
    assert done["messages"] == 2
    assert done["state"] == "running"
    assert set(done["waiting"]) == {"dialogue", "understanding"}


async def test_erase_takes_a_customer_on_all_channels(running: Any, kefu_log: Any) -> None:
    ids = []
    for number in range(2):
        ids.append(
            await running.gateway.journal.open_conversation(
                "whatsapp", f"+44770090012{number}", customer_id="c-1"
            )
        )
    other = await running.gateway.journal.open_conversation("whatsapp", "+447700900199")
    refused = kefu_log("erase", "--customer", "c-1")
    assert refused.exit_code == 1
    assert "Erase 2 conversations for good?" in refused.output
    by_account = ("--channel", "whatsapp", "--account", "+447700900121", "--yes")
    assert "erased 2 conversations" in kefu_log("erase", *by_account).output
    left = [await running.gateway.journal.conversation(id_) for id_ in (*ids, other)]
    assert [row is not None for row in left] == [False, False, True]
    assert isinstance(kefu_log("erase", "--customer", "c-1", "--yes").exception, NobodyThere)


@pytest.mark.parametrize(
    "arguments", [(), ("id", "--customer", "c"), ("--channel", "web"), ("--account", "a")]
)
def test_erase_wants_one_way_to_name_somebody(kefu_log: Any, arguments: tuple[str, ...]) -> None:
    refused = kefu_log("erase", *arguments)
    assert refused.exit_code == 2
    assert "name one" in refused.output
