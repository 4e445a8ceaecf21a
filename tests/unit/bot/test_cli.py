"""The command `kefu`: what is there, and how failures are told."""

import sys
from pathlib import Path

import click
import pytest

from bot import cli
from bot.errors import KefuError


@pytest.mark.parametrize("name", [*cli.COMMANDS])
def test_every_command_loads_and_says_what_it_does(name: str) -> None:
    command = cli.kefu.get_command(click.Context(cli.kefu), name)
    assert command is not None
    assert command.get_short_help_str()


@pytest.mark.parametrize("name", [*cli.BENCHES])
def test_every_benchmark_prints_json(name: str) -> None:
    command = cli.bench.get_command(click.Context(cli.bench), name)
    assert command is not None
    assert "--json" in {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (KefuError("port 8080 is taken"), "kefu: port 8080 is taken"),
        (
            FileNotFoundError(2, "No such file or directory", "data/rules.yml"),
            "kefu: No such file or directory: data/rules.yml",
        ),
    ],
)
def test_an_expected_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, line: str
) -> None:
    @click.command()
    def failing() -> None:
        raise failure

    monkeypatch.setattr(cli.kefu, "get_command", lambda ctx, name: failing)
    monkeypatch.setattr(sys, "argv", ["kefu", "failing"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == line


def test_the_data_folder_is_named_when_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kefu", "bench", "turns"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert "data" in str(stopped.value.code)


def test_the_exit_code_of_a_command_is_that_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def found_something() -> None:
        raise click.exceptions.Exit(3)

    monkeypatch.setattr(cli, "kefu", found_something)
    monkeypatch.setattr(sys, "argv", ["kefu"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 3
