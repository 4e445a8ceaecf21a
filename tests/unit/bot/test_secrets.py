"""Secrets come from settings or files, and stay where they are."""

import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import SettingsConfigDict, SettingsError

from bot import doctor
from bot.channels.channel import ChannelSettings
from bot.http.guard import open_tokens
from bot.settings import Settings


@pytest.fixture
def secrets_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("KEFU_SECRETS_DIR", str(folder))
    return folder


def test_a_file_is_read_like_its_variable(secrets_dir: Path) -> None:
    (secrets_dir / "kefu_token_secret").write_text("from a file\n")
    (secrets_dir / "kefu_token_secrets_previous").write_text('["one", "two"]')
    (secrets_dir / "kefu_database_url").write_text("sqlite:////tmp/there.db")
    settings = Settings(_env_file=None)
    assert settings.token_secret is not None
    assert settings.token_secret.get_secret_value() == "from a file"
    assert [one.get_secret_value() for one in settings.token_secrets_previous] == ["one", "two"]
    assert settings.database_url == "sqlite:////tmp/there.db"
    assert settings.secrets_dir == secrets_dir


def test_a_variable_goes_before_a_file(secrets_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets_dir / "kefu_port").write_text("1111")
    (secrets_dir / "kefu_nlu_port").write_text("2222")
    monkeypatch.setenv("KEFU_PORT", "3333")
    settings = Settings(_env_file=None)
    assert (settings.port, settings.nlu_port) == (3333, 2222)


def test_channels_read_files_too(secrets_dir: Path) -> None:
    class ExampleSettings(ChannelSettings):
        model_config = SettingsConfigDict(env_prefix="KEFU_EXAMPLE_")

        token: str | None = None

    (secrets_dir / "kefu_example_token").write_text("abc")
    assert ExampleSettings(_env_file=None).token == "abc"


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="KEFU_SECRETS_DIR"):
        Settings(_env_file=None)


def test_a_changed_secret_reaches_the_tokens(secrets_dir: Path) -> None:
    (secrets_dir / "kefu_token_secret").write_text("first")
    token = open_tokens(Settings(_env_file=None)).issue("c1")
    (secrets_dir / "kefu_token_secret").write_text("second")
    (secrets_dir / "kefu_token_secrets_previous").write_text('["first"]')
    open_tokens(Settings(_env_file=None)).check(f"Bearer {token}", "c1")


def test_no_secret_is_shown(secrets_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("token_secret", "identity_secret", "admin_token"):
        (secrets_dir / f"kefu_{name}").write_text("hide me, I am thirty-two characters")
    (secrets_dir / "kefu_token_secrets_previous").write_text('["hide me"]')
    settings = Settings(_env_file=None)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("any").info("settings %r", settings)
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {caplog.text}"
    assert "hide me" not in shown


def test_every_secret_survives_the_way_to_a_process_of_ours(
    secrets_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, token_secrets_previous=["one"], token_secret="two")
    monkeypatch.delenv("KEFU_SECRETS_DIR")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings(_env_file=None) == settings


def test_the_doctor_finds_open_secret_files(
    secrets_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(_env_file=None, state_dir=tmp_path)
    closed, open_ = secrets_dir / "kefu_token_secret", secrets_dir / "kefu_slack_bot_token"
    for file, mode in ((closed, 0o600), (open_, 0o644)):
        file.write_text("x")
        file.chmod(mode)
    found = doctor.secret_files(settings)
    assert not found.ok
    assert str(open_) in found.seen
    assert str(closed) not in found.seen
    open_.chmod(0o640)
    (tmp_path / ".env").write_text("KEFU_PORT=1\n")
    (tmp_path / ".env").chmod(0o644)
    assert doctor.secret_files(settings).ok
    (tmp_path / ".env").write_text("KEFU_TOKEN_SECRET=x\n")
    assert not doctor.secret_files(settings).ok


@pytest.mark.parametrize(
    ("changes", "ok"),
    [
        ({}, True),
        ({"rest_webhook": "on"}, True),
        ({"rest_webhook": "on", "host": "0.0.0.0"}, False),
        ({"detail": "on", "public_url": "http://chat.example"}, False),
        ({"public_url": "https://chat.example"}, False),
        ({"public_url": "https://chat.example", "trusted_proxies": ["10.0.0.0/8"]}, True),
        ({"allowed_origins": ["*"]}, False),
        ({"identity_required": True}, False),
    ],
)
def test_the_doctor_looks_at_the_front_door(changes: dict[str, Any], ok: bool) -> None:
    finding = doctor.front_door(Settings(_env_file=None).model_copy(update=changes))
    assert finding.ok is ok
    assert ok or finding.remedy
