"""`kefu watch`: one look, or what it would have found, on the log that the settings name."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import insert

from bot.cli import kefu
from bot.log import tables
from bot.log.voice_count import hour_of
from tests.integration.voice_log import VoiceLog, opened, utc

NOW = utc(2026, 6, 1, 0)
BEFORE = 75


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VoiceLog]:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'kefu.db'}"
    monkeypatch.setenv("KEFU_DATABASE_URL", url)
    with opened(url, NOW) as log:
        yield log


def steady_then_upset(log: VoiceLog) -> None:
    """Hours as the counting keeps them, of days that it will not count again."""
    draw = np.random.default_rng(4)
    rows = []
    first = NOW - timedelta(days=BEFORE)
    for number in range(BEFORE * 24):
        at = first + timedelta(hours=number)
        share = 0.7 if at >= NOW - timedelta(days=4) and at < NOW - timedelta(days=2) else 0.2
        cases = int(draw.poisson(8))
        rows.append(
            {"day": at.date(), "hour": hour_of(at), "kind": "intent", "name": "return_item"}
            | {"cases": cases, "upset": int(draw.binomial(cases, share))}
        )
    with log.writing() as connection:
        connection.execute(insert(tables.watch_hour), [row for row in rows if row["cases"]])
        connection.execute(tables.voice_state.update().values(zone="UTC", counted_to=NOW.date()))


def run(*arguments: str) -> str:
    done = CliRunner().invoke(kefu, ["watch", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_replay_finds_what_was_and_keeps_nothing(log: VoiceLog) -> None:
    steady_then_upset(log)
    found = json.loads(run("--replay", "10", "--at", f"{NOW:%Y-%m-%dT00:05:00}", "--json"))
    (alert,) = found["opened"]
    assert (alert["kind"], alert["name"]) == ("intent", "return_item")
    assert (
        f"{NOW - timedelta(days=4):%Y-%m-%d}" <= alert["at"] < f"{NOW - timedelta(days=2):%Y-%m-%d}"
    )
    with log.engine.connect() as connection:
        assert connection.execute(tables.alert.select()).all() == []
    assert "1 alerts in 10 days" in run("--replay", "10", "--at", f"{NOW:%Y-%m-%dT00:05:00}")


def test_a_look_opens_the_alert_and_no_second_look_does(log: VoiceLog) -> None:
    steady_then_upset(log)
    upset = NOW - timedelta(days=2, minutes=-5)
    with log.writing() as connection:
        connection.execute(tables.voice_state.update().values(counted_to=upset.date()))
    shown = run("--once", "--at", f"{upset:%Y-%m-%dT%H:%M:%S}")
    assert shown.startswith("alert: intent return_item:")
    again = json.loads(run("--once", "--at", f"{upset:%Y-%m-%dT%H:%M:%S}", "--json"))
    assert again == {"looked": False, "opened": [], "seen": [], "over": []}


def test_there_has_to_be_a_log_and_one_thing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    done = CliRunner().invoke(kefu, ["watch"])
    assert "--once or --replay" in done.output
    done = CliRunner().invoke(kefu, ["watch", "--once"])
    assert "no conversation log" in str(done.exception)
