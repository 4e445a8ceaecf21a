"""Set-up: when an environment is left alone, and what is said when it cannot be made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.setup import bootstrap


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bootstrap.Environment:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "LOGS", tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    made = bootstrap.Environment("services", ".venv", "gateway,nlu", lambda: "python3")
    made.lock = tmp_path / "services.lock"
    made.lock.write_text("aiohttp==3.11\n")
    made.folder.mkdir()
    return made


def stamp(environment: bootstrap.Environment, extras: str) -> None:
    (environment.folder / "kefu.stamp").write_text(f"{environment.stamp()}\n{extras}\n")


def test_an_environment_without_a_stamp_is_made(environment: bootstrap.Environment) -> None:
    assert not environment.is_ready()


def test_a_stamped_environment_is_left_alone_while_lock_and_project_stay(
    environment: bootstrap.Environment,
) -> None:
    stamp(environment, "dev,gateway,nlu")
    assert environment.is_ready()
    environment.lock.write_text("aiohttp==3.12\n")
    assert not environment.is_ready()


def test_an_environment_that_lacks_an_extra_is_made_again(
    environment: bootstrap.Environment,
) -> None:
    stamp(environment, "gateway")
    assert not environment.is_ready()
    assert environment.installed_extras() == {"gateway"}


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("Temporary failure in name resolution", "check the network"),
        ("something else", "failed: read the end of"),
    ],
)
def test_a_failed_install_is_one_line_with_the_remedy(
    environment: bootstrap.Environment, output: str, remedy: str
) -> None:
    said = environment._explain_pip(output)
    assert remedy in said
    assert "\n" not in said


def test_a_python_without_venv_names_the_package(environment: bootstrap.Environment) -> None:
    assert "python3-venv" in environment._explain_venv("ensurepip is not available")


def test_no_python_310_names_the_ways_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuse: Callable[[str], bool] = lambda python: False  # noqa: E731
    monkeypatch.setattr(bootstrap, "works", refuse)
    monkeypatch.setattr(bootstrap, "output_of", lambda *command: "")
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: "/usr/bin/uv")
    with pytest.raises(bootstrap.SetupFailed, match="KEFU_PYTHON310"):
        bootstrap.find_python310("python3")
