"""A token opens one conversation and no other."""

import stat
from pathlib import Path

import pytest

from bot.errors import RequestError
from bot.tokens import Tokens, load_secret


def test_a_token_passes_for_its_conversation() -> None:
    tokens = Tokens("key")
    tokens.check(f"Bearer {tokens.issue('c1')}", "c1")


def test_another_key_or_conversation_is_refused() -> None:
    tokens = Tokens("key")
    with pytest.raises(RequestError) as forged:
        tokens.check(f"Bearer {Tokens('other').issue('c1')}", "c1")
    assert forged.value.status == 401
    with pytest.raises(RequestError) as other:
        tokens.check(f"Bearer {tokens.issue('c1')}", "c2")
    assert other.value.status == 403


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    secret = load_secret(tmp_path / "state")
    assert load_secret(tmp_path / "state") == secret
    assert stat.S_IMODE((tmp_path / "state" / "secret").stat().st_mode) == 0o600


def test_text_hashes_depend_on_the_key() -> None:
    assert Tokens("a").hash_text("x") == Tokens("a").hash_text("x") != Tokens("b").hash_text("x")
