"""`kefu` as a person at a terminal meets it: start, questions, doctor, errors, stop."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bot.bench.system import PrivateSystem, private_environment


def kefu(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bot.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def at_system(system: PrivateSystem) -> dict[str, str]:
    """The environment of someone who works beside the running system."""
    ports = {
        "KEFU_PORT": system.url,
        "KEFU_NLU_PORT": system.address_of("understanding"),
        "KEFU_DIALOGUE_PORT": system.address_of("dialogue"),
        "KEFU_ACTIONS_PORT": system.address_of("actions"),
    }
    return {
        **os.environ,
        **{name: address.rsplit(":", 1)[1] for name, address in ports.items()},
        "KEFU_STATE_DIR": str(system.state_dir),
    }


def test_ask_prints_everything_behind_the_answer(at_system: dict[str, str]) -> None:
    text = "where is my parcel, it is a week late and nobody answers!"
    done = kefu("ask", text, "--json", environment=at_system)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["intent"]["name"] == "track_order"
    assert answer["emotion"]["name"] in {"angry", "disappointed"}
    assert answer["replies"][0]["text"]
    assert answer["answer"]["actions"]
    assert answer["model_version"]
    assert answer["timing_ms"]


def test_doctor_finds_a_running_system_in_order(at_system: dict[str, str]) -> None:
    done = kefu("doctor", "--json", environment=at_system)
    assert done.returncode == 0, done.stdout + done.stderr
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert all(finding["ok"] for finding in findings.values())
    assert "gateway ready" in findings["processes"]["seen"]


def test_a_second_up_says_that_it_runs_already(at_system: dict[str, str]) -> None:
    done = kefu("up", environment=at_system)
    assert done.returncode == 0
    assert "already" in done.stderr


def test_the_log_shows_what_was_asked(at_system: dict[str, str]) -> None:
    kefu("ask", "do you sell gift cards by post?", "--json", environment=at_system)
    shown = kefu("log", "show", environment=at_system)
    assert shown.returncode == 0, shown.stderr
    assert "do you sell gift cards by post?" in shown.stdout


def test_a_taken_port_is_one_line_that_names_the_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environment = private_environment(tmp_path, {"KEFU_PORT": port})
        done = kefu("up", environment=environment)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"port {port}" in done.stderr
    assert "KEFU_PORT" in done.stderr


def test_a_stopped_gateway_is_one_line_that_says_how_to_start(tmp_path: Path) -> None:
    done = kefu("ask", "hello", environment=private_environment(tmp_path, {}))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "kefu up" in done.stderr or "make up" in done.stderr


def test_a_bad_setting_is_one_line_that_names_it(tmp_path: Path) -> None:
    done = kefu("up", environment=private_environment(tmp_path, {"KEFU_PORT": "eighty"}))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "KEFU_PORT" in done.stderr


def test_a_damaged_model_is_one_line_that_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "nlu").mkdir()
    (tmp_path / "nlu" / "current").write_text("20260101-000000-abcdef")
    environment = private_environment(tmp_path, {"KEFU_MODELS_DIR": str(tmp_path)})
    done = kefu("up", environment=environment)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "kefu train" in done.stderr
