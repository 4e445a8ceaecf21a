"""A token opens one conversation and no other, for a time."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import RequestError
from bot.tokens import DAY_S, Tokens, load_secret

TOKEN = Tokens("key", clock=lambda: 1_000_000).issue("c1")


def refusal(tokens: Tokens, token: str, conversation_id: str = "c1") -> tuple[int, str]:
    with pytest.raises(RequestError) as refused:
        tokens.check(f"Bearer {token}", conversation_id)
    assert refused.value.field == "Authorization"
    return refused.value.status, refused.value.message


def at(now_s: float, secret: str = "key", *previous: str) -> Tokens:
    return Tokens(secret, previous=previous, days=30, clock=lambda: now_s)


def test_a_token_passes_for_its_conversation() -> None:
    tokens = Tokens("key")
    tokens.check(f"Bearer {tokens.issue('c1')}", "c1")


def test_another_key_or_conversation_is_refused() -> None:
    tokens = Tokens("key")
    assert refusal(tokens, Tokens("other").issue("c1"))[0] == 401
    assert refusal(tokens, tokens.issue("c1"), "c2")[0] == 403


@given(bit=st.integers(0, len(TOKEN) * 8 - 1))
def test_every_changed_bit_is_refused(bit: int) -> None:
    raw = bytearray(TOKEN.encode())
    raw[bit // 8] ^= 1 << bit % 8
    assert refusal(at(1_000_000), raw.decode("latin-1"))[0] == 401


@given(st.text(max_size=80) | st.binary(max_size=60).map(bytes.hex))
def test_no_text_breaks_the_check(token: str) -> None:
    for sent in (token, f"c1.{token}", f"{TOKEN}{token or '.'}"):
        if sent.strip(" ") != TOKEN:
            assert refusal(at(1_000_000), sent)[0] == 401


def test_a_token_expires_and_says_so() -> None:
    at(1_000_000 + 30 * DAY_S).check(f"Bearer {TOKEN}", "c1")
    status, message = refusal(at(1_000_001 + 30 * DAY_S), TOKEN)
    assert (status, message) == (401, "the token has expired")
    assert refusal(at(999_999), TOKEN)[0] == 401


def test_a_changed_secret_takes_the_tokens_of_the_one_before() -> None:
    changed = at(1_000_000, "new", "oldest", "key")
    changed.check(f"Bearer {TOKEN}", "c1")
    fresh = changed.issue("c1")
    at(1_000_000, "new").check(f"Bearer {fresh}", "c1")
    assert refusal(at(1_000_000), fresh)[0] == 401
    assert refusal(at(1_000_000, "new"), TOKEN)[0] == 401


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    secret = load_secret(tmp_path / "state")
    assert load_secret(tmp_path / "state") == secret
    assert stat.S_IMODE((tmp_path / "state" / "secret").stat().st_mode) == 0o600


def test_text_hashes_depend_on_the_key() -> None:
    assert Tokens("a").hash_text("x") == Tokens("a").hash_text("x") != Tokens("b").hash_text("x")


def test_text_hashes_outlive_a_change_of_the_secret() -> None:
    assert Tokens("new", previous=["a"]).hash_text("x") == Tokens("a").hash_text("x")
