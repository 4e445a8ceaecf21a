"""`kefu agent`: tokens are shown once, kept as a hash, and end at once."""

import json
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner
from sqlalchemy import select

from bot.agents import find, hash_token
from bot.agents_cli import agent
from bot.log import database, tables


@pytest.fixture
def kefu_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("KEFU_DATABASE_URL", f"sqlite:///{tmp_path / 'kefu.db'}")

    def run(*arguments: str, input: str | None = None) -> Any:
        return CliRunner().invoke(agent, arguments, input=input)

    return run


@pytest.fixture
def rows(tmp_path: Path) -> Any:
    def rows(query: Any) -> Any:
        engine = database.open_engine(f"sqlite:///{tmp_path / 'kefu.db'}")
        with engine.connect() as connection:
            found = query(connection)
        engine.dispose()
        return found

    return rows


def test_a_token_is_shown_once_and_kept_as_a_hash(kefu_agent: Any, rows: Any) -> None:
    added = json.loads(kefu_agent("add", "Anna Berg", "--role", "administrator", "--json").output)
    token = added["token"]
    kept = rows(lambda c: [dict(r) for r in c.execute(select(tables.agent)).mappings()])
    assert [row["token_hash"] for row in kept] == [hash_token(token)]
    assert token not in str(kept)
    found = rows(lambda c: find(c, token_hash=hash_token(token)))
    assert (found.id, found.name, found.role) == (added["id"], "Anna Berg", "administrator")
    listed = kefu_agent("list").output
    assert "Anna Berg  administrator" in listed
    assert token not in listed + kefu_agent("list", "--json").output


def test_two_of_a_name_are_refused_and_a_removed_one_comes_back(kefu_agent: Any, rows: Any) -> None:
    first = json.loads(kefu_agent("add", "Anna", "--json").output)
    again = kefu_agent("add", "Anna")
    assert again.exit_code == 1
    assert "Anna has access already" in again.output
    assert kefu_agent("remove", "Anna").exit_code == 0
    assert rows(lambda c: find(c, token_hash=hash_token(first["token"]))) is None
    assert kefu_agent("list").output == ""
    back = json.loads(kefu_agent("add", "Anna", "--role", "reviewer", "--json").output)
    assert back["id"] == first["id"], "what they wrote stays theirs"
    assert back["token"] != first["token"]


def test_who_is_not_there_cannot_be_removed(kefu_agent: Any) -> None:
    gone = kefu_agent("remove", "Nobody")
    assert gone.exit_code == 1
    assert "kefu agent list" in gone.output


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\x1b[31m"])
def test_a_name_is_one_that_customers_can_read(kefu_agent: Any, name: str) -> None:
    assert kefu_agent("add", name).exit_code == 1


def test_each_change_is_on_record(kefu_agent: Any, rows: Any) -> None:
    kefu_agent("add", "Anna")
    kefu_agent("remove", "Anna")
    audit = tables.audit
    actions = rows(lambda c: list(c.execute(select(audit.c.action)).scalars()))
    assert actions == ["agent.add", "agent.remove"]


def test_a_password_for_the_first_sign_in_is_shown_once(kefu_agent: Any, rows: Any) -> None:
    added = json.loads(kefu_agent("add", "Anna", "--json").output)
    (kept,) = rows(lambda c: [dict(r) for r in c.execute(select(tables.agent)).mappings()])
    assert kept["must_change_password"]
    assert PasswordHasher().verify(kept["password_hash"], added["password"])
    shown = kefu_agent("add", "Ben").output
    assert "/console" in shown
    assert shown not in kefu_agent("list").output


def test_a_password_is_read_from_standard_input(kefu_agent: Any, rows: Any) -> None:
    kefu_agent("add", "Anna")
    refused = kefu_agent("password", "Anna", input="too short\n")
    assert refused.exit_code == 1
    assert "at least 12 characters" in refused.output
    changed = kefu_agent("password", " Anna ", input="seven candles on a shelf\nand more\n")
    assert changed.exit_code == 0, changed.output
    (kept,) = rows(lambda c: [dict(r) for r in c.execute(select(tables.agent)).mappings()])
    assert not kept["must_change_password"]
    assert PasswordHasher().verify(kept["password_hash"], "seven candles on a shelf")
    assert kefu_agent("password", "Nobody", input="seven candles on a shelf\n").exit_code == 1


def test_a_role_is_changed(kefu_agent: Any, rows: Any) -> None:
    added = json.loads(kefu_agent("add", "Anna", "--json").output)
    assert kefu_agent("role", "Anna", "owner").exit_code == 2
    assert kefu_agent("role", "Anna", "administrator").exit_code == 0
    found = rows(lambda c: find(c, token_hash=hash_token(added["token"])))
    assert found.role == "administrator"
    assert kefu_agent("role", "Nobody", "agent").exit_code == 1
    audit = tables.audit
    kept = rows(lambda c: list(c.execute(select(audit.c.action, audit.c.target)).all()))
    assert ("agent.role", added["id"]) in kept


def test_a_removed_person_has_no_password_any_more(kefu_agent: Any, rows: Any) -> None:
    kefu_agent("add", "Anna")
    kefu_agent("remove", "Anna")
    (kept,) = rows(lambda c: [dict(r) for r in c.execute(select(tables.agent)).mappings()])
    assert kept["password_hash"] is None
    assert kept["token_hash"] is None
