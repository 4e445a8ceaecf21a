"""`kefu outbox` shows and moves dead letters, and says in the audit log that it did."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.errors import LogMissing, NotInOutbox
from bot.log import outbox as rows
from bot.log.records import Reply
from bot.outbox_cli import outbox
from bot.world import utc_now

SECRET = "what was said"


@pytest.fixture
def kefu_outbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    monkeypatch.setenv("KEFU_DATABASE_URL", f"sqlite:///{tmp_path / 'kefu.db'}")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(outbox, arguments)

    return run


@pytest.fixture
async def letters(running: Any) -> list[str]:
    """Four messages in four conversations: two dead, one queued, one sent."""
    journal = running.gateway.journal
    journal.sending = frozenset({"fake"})
    for id_, state in (("a", "failed"), ("b", "failed"), ("c", "queued"), ("d", "sent")):
        conversation = await journal.open_conversation("fake", f"+44 20 7946 000{id_}")
        await journal.say(conversation, [Reply(id=id_, text=SECRET)])
        error = None if state == "sent" else "blocked \x1b[31m by the customer"
        await journal.write(
            partial(rows.settle, row=id_, state=state, error=error, next_at=utc_now())
        )
    return ["a", "b", "c", "d"]


def query(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(tmp_path / "kefu.db")) as connection:
        return connection.execute(sql).fetchall()


def ids(output: str) -> list[str]:
    return [json.loads(line)["id"] for line in output.splitlines()]


async def test_list_shows_each_state_without_texts_or_addresses(
    kefu_outbox: Any, letters: list[str]
) -> None:
    shown = kefu_outbox("list").output
    assert "2 shown; 2 failed, 1 queued, 1 sent" in shown
    assert "blocked" in shown
    assert "\x1b" not in shown
    assert ids(kefu_outbox("list", "--json").output) == ["a", "b"]
    assert ids(kefu_outbox("list", "--limit", "1", "--json").output) == ["a"]
    assert ids(kefu_outbox("list", "--state", "queued", "--json").output) == ["c"]
    assert ids(kefu_outbox("list", "--state", "sent", "--json").output) == ["d"]
    for state in ("failed", "queued", "sent"):
        for form in ((), ("--json",)):
            output = kefu_outbox("list", "--state", state, *form).output
            assert SECRET not in output
            assert "7946" not in output


async def test_retry_queues_the_named_ones_anew_and_leaves_a_trace(
    kefu_outbox: Any, letters: list[str], tmp_path: Path
) -> None:
    assert kefu_outbox("retry", "a").output == "retried 1 message\n"
    queued = "SELECT id, attempts, error FROM outbox WHERE state = 'queued' ORDER BY id"
    assert query(tmp_path, queued) == [
        ("a", 0, None),
        ("c", 0, "blocked \x1b[31m by the customer"),
    ]
    assert query(tmp_path, "SELECT actor, action, target FROM audit") == [
        ("cli", "outbox.retry", "a")
    ]


async def test_retry_all_takes_every_dead_letter(
    kefu_outbox: Any, letters: list[str], tmp_path: Path
) -> None:
    assert json.loads(kefu_outbox("retry", "--all", "--json").output) == {"retried": 2}
    assert ids(kefu_outbox("list", "--json").output) == []
    assert query(tmp_path, "SELECT action, target, detail FROM audit") == [
        ("outbox.retry", "all", '{"messages":2}')
    ]


async def test_drop_takes_messages_out_and_leaves_them_in_their_conversations(
    kefu_outbox: Any, letters: list[str], tmp_path: Path
) -> None:
    assert kefu_outbox("drop", "a", "c").output == "dropped 2 messages\n"
    assert query(tmp_path, "SELECT id FROM outbox ORDER BY id") == [("b",), ("d",)]
    assert query(tmp_path, "SELECT count(*) FROM message") == [(4,)]
    traces = query(tmp_path, "SELECT action, target, detail FROM audit ORDER BY target")
    assert [trace[:2] for trace in traces] == [("outbox.drop", "a"), ("outbox.drop", "c")]
    assert all(SECRET not in trace[2] for trace in traces)


@pytest.mark.parametrize(
    "arguments", [("retry", "a", "c"), ("retry", "x"), ("drop", "a", "d"), ("drop", "x")]
)
async def test_one_wrong_id_changes_nothing(
    kefu_outbox: Any, letters: list[str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    before = query(tmp_path, "SELECT id, state FROM outbox ORDER BY id")
    assert isinstance(kefu_outbox(*arguments).exception, NotInOutbox)
    assert query(tmp_path, "SELECT id, state FROM outbox ORDER BY id") == before
    assert query(tmp_path, "SELECT count(*) FROM audit") == [(0,)]


@pytest.mark.parametrize("arguments", [("retry",), ("retry", "a", "--all"), ("drop",)])
def test_what_to_move_has_to_be_said(kefu_outbox: Any, arguments: tuple[str, ...]) -> None:
    assert kefu_outbox(*arguments).exit_code == 2


def test_without_a_log_it_says_how_to_get_one(kefu_outbox: Any) -> None:
    assert isinstance(kefu_outbox("list").exception, LogMissing)
