"""The settings and their page in the docs."""

from pathlib import Path

import pytest

from bot.settings import Settings
from bot.settings_page import settings_page

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def test_the_docs_page_is_what_the_command_prints() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_description(name: str) -> None:
    assert Settings.model_fields[name].description


def test_addresses_follow_ports_unless_they_are_set() -> None:
    assert Settings(nlu_port=7001).nlu_url == "http://127.0.0.1:7001"
    assert Settings(nlu_port=7001, nlu_url="http://gpu:5006").nlu_url == "http://gpu:5006"


def test_the_database_follows_the_state_folder(tmp_path: Path) -> None:
    assert Settings(state_dir=tmp_path).database_url == f"sqlite:///{tmp_path}/kefu.db"


def test_settings_survive_the_way_through_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(port=9999, nlu_port=7001)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
