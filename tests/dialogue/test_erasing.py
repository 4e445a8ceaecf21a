"""What is left of an erased conversation: nothing, in memory, in the table and in the files."""

import asyncio
import gc
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from rasa.core.channels.channel import UserMessage

from bot.dialogue import turn_table
from bot.dialogue.erasing import MOST, read_erasure
from bot.dialogue.errors import BadTurn, ConversationErased
from bot.dialogue.settings import dialogue_database
from bot.dialogue.turn_channel import SilentOutput
from bot.dialogue.turn_table import Turn
from tests.dialogue.fakes import FakeServices, fake_parse
from tests.dialogue.processes import DialogueProcess
from tests.dialogue.test_predictions import make_agent

CANARY = "quetzalcoatlus"


def erase(process: DialogueProcess, *ids: str) -> tuple[int, dict[str, Any]]:
    return process.post(json.dumps({"conversation_ids": ids}).encode(), "erase")


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("dialogue.db*")))


@pytest.fixture
def process(services: FakeServices, models_dir: Path, tmp_path: Path) -> Iterator[DialogueProcess]:
    started = DialogueProcess(services.url, models_dir, tmp_path)
    yield started
    started.stop()


def test_nothing_of_it_is_left_in_the_files_and_others_stay(
    process: DialogueProcess, tmp_path: Path
) -> None:
    for number in range(4):
        process.say("gone", f"I am {CANARY} number {number}")
        process.say("stays", f"somebody else {number}")
    assert CANARY.encode() in bytes_of(tmp_path)
    assert erase(process, "gone") == (200, {"conversations": 1, "turns": 4})
    left = bytes_of(tmp_path)
    assert CANARY.encode() not in left
    assert b"somebody else" in left
    # Asked again, as after a crash, nothing more goes.
    assert erase(process, "gone") == (200, {"conversations": 1, "turns": 0})
    assert process.say("stays", "and still here")["duplicate"] is False


def test_a_late_turn_does_not_begin_it_anew_also_after_a_restart(
    process: DialogueProcess, tmp_path: Path
) -> None:
    process.say("late", f"I am {CANARY}")
    erase(process, "late")
    status, body = process.turn("late", f"{CANARY} again")
    assert (status, body["error"]["code"]) == (410, "erased")
    back = {"conversation_id": "late", "event_id": "e", "outcome": "resolved"}
    assert process.post(json.dumps(back).encode(), "hand-back")[0] == 410
    process.stop()
    process.start()
    assert process.turn("late", f"{CANARY} again")[0] == 410
    assert CANARY.encode() not in bytes_of(tmp_path)


def test_a_turn_under_way_ends_before_its_conversation_goes(
    process: DialogueProcess, services: FakeServices, tmp_path: Path
) -> None:
    services.actions.delay_s = 1.0
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(process.turn, "slow", f"/ask_size {CANARY}")
        while not services.parses:
            pass
        status, _ = erase(process, "slow")
        assert status == 200
        # Either it was committed before, and erased, or it found its conversation erased.
        assert turn.result()[0] in (200, 410)
    assert CANARY.encode() not in bytes_of(tmp_path)
    engine = turn_table.open_database(dialogue_database("", tmp_path))
    assert turn_table.last_turns(engine, "slow", None) == []
    engine.dispose()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "conversation_ids"),
        (b'{"conversation_ids": []}', "conversation_ids"),
        (b'{"conversation_ids": "a"}', "conversation_ids"),
        (b'{"conversation_ids": [1]}', "conversation_ids"),
        (json.dumps({"conversation_ids": ["a"] * (MOST + 1)}).encode(), "conversation_ids"),
        (b"[]", "body"),
    ],
)
def test_a_wrong_request_names_the_field(body: bytes, field: str) -> None:
    with pytest.raises(BadTurn) as caught:
        read_erasure(body)
    assert caught.value.field == field


def test_rows_go_on_both_databases(database_url: str) -> None:
    engine = turn_table.open_database(database_url)
    with engine.begin() as connection:
        turn_table.insert_turns(connection, [a_turn("a", 1), a_turn("a", 2), a_turn("b", 1)])
    assert turn_table.delete_turns(engine, ["a", "unknown"]) == 2
    assert turn_table.delete_turns(engine, ["a", "unknown"]) == 0
    assert turn_table.scrub(engine) is True
    assert turn_table.conversation_ids(engine) == ["b"]
    assert turn_table.erased_ids(engine) == {"a", "unknown"}
    engine.dispose()


def test_a_file_of_an_earlier_version_is_rebuilt_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'dialogue.db'}"
    old = sa.create_engine(url)
    turn_table.turns.create(old)
    with old.begin() as connection:
        turn_table.insert_turns(connection, [a_turn("a", seq) for seq in range(50)])
    with old.begin() as connection:
        # As the earlier version on most builds of SQLite: deleted, not overwritten.
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        connection.execute(turn_table.turns.delete())
    old.dispose()
    assert CANARY.encode() in bytes_of(tmp_path)
    engine = turn_table.open_database(url)
    turn_table.delete_turns(engine, ["a"])
    assert turn_table.scrub(engine) is True
    assert CANARY.encode() not in bytes_of(tmp_path)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA user_version").scalar() == turn_table.OVERWRITTEN
    engine.dispose()


def test_a_reader_in_the_way_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'dialogue.db'}"
    engine = turn_table.open_database(url)
    with engine.begin() as connection:
        turn_table.insert_turns(connection, [a_turn("a", 1)])
    engine.dispose()
    engine = sa.create_engine(url, connect_args={"timeout": 0})
    reader = sa.create_engine(url).connect()
    raw = reader.connection.cursor()
    raw.execute("BEGIN")
    raw.execute("SELECT count(*) FROM dialogue_turn").fetchall()
    turn_table.delete_turns(engine, ["a"])
    assert turn_table.scrub(engine) is False
    raw.execute("COMMIT")
    assert turn_table.scrub(engine) is True
    reader.close()
    engine.dispose()


def test_no_text_is_left_in_memory_not_even_in_the_prediction_cache(
    services: FakeServices, models_dir: Path, tmp_path: Path
) -> None:
    agent = make_agent(models_dir, tmp_path, services.url)

    async def run() -> None:
        for text in ("/greet", f"/thank {CANARY}"):
            message = UserMessage(
                text=text,
                output_channel=SilentOutput(),
                sender_id="a",
                parse_data=fake_parse(text.split()[0]) | {"text": text},
            )
            conversation = await agent.processor.run_turn(message)
            await agent.tracker_store.commit(conversation, message_id=text, text=text)
        assert agent.processor.predictions._predictions
        assert where(agent.tracker_store, CANARY)
        agent.tracker_store.bury(["a"])
        await agent.tracker_store.erase(["a"])
        with pytest.raises(ConversationErased):
            await agent.tracker_store.conversation("a")

    asyncio.run(run())
    gc.collect()
    (writer,) = [thread for thread in threading.enumerate() if thread.name == "turn-writer"]
    assert where(sys._current_frames()[writer.ident].f_locals, CANARY) == []
    assert where(agent.processor.predictions, CANARY) == []
    assert where(agent.tracker_store, CANARY) == []
    agent.tracker_store.close()


def where(root: object, text: str) -> list[str]:
    """The kinds of objects from `root` to a string with this text in it; empty when none hangs."""
    seen: set[int] = set()
    todo: list[tuple[object, tuple[object, ...]]] = [(root, ())]
    while todo:
        one, path = todo.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType)):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            if text in one:
                return [type(holder).__name__ for holder in path]
            continue
        todo += [(other, (*path, one)) for other in gc.get_referents(one)]
        assert len(seen) < 2_000_000, "more objects than this test can look at"
    return []


def a_turn(conversation_id: str, seq: int) -> Turn:
    return Turn(
        conversation_id=conversation_id,
        seq=seq,
        message_id=f"m{seq}",
        text=f"I am {CANARY}",
        events=[{"event": "user", "text": CANARY * 50}],
        replies=[],
        parse={"text": CANARY},
        snapshot={},
    )
