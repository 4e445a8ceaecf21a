"""Passwords: what is refused, how they are kept, and that names cannot be told by the time."""

import asyncio

import pytest
from argon2 import PasswordHasher

from bot.console.passwords import MAX_CHARS, Passwords, check_new, one_time
from bot.errors import RequestError

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(CHEAP)


async def test_the_right_password_passes_and_no_other(passwords: Passwords) -> None:
    kept = await passwords.hash("seven candles on a shelf")
    assert "seven" not in kept
    assert await passwords.verify(kept, "seven candles on a shelf")
    for wrong in ("", "Seven candles on a shelf", "seven candles on a shelf ", "x" * 100_000):
        assert not await passwords.verify(kept, wrong)


async def test_each_hash_has_a_salt_of_its_own(passwords: Passwords) -> None:
    assert await passwords.hash("the same words") != await passwords.hash("the same words")


async def test_a_name_that_nobody_has_costs_a_verification_too() -> None:
    verified: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            verified.append(str(hash))
            return super().verify(hash, password)

    passwords = Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1))
    assert not await passwords.verify(None, "seven candles on a shelf")
    assert len(verified) == 1


async def test_what_is_no_hash_lets_nobody_in(passwords: Passwords) -> None:
    assert not await passwords.verify("", "")
    assert not await passwords.verify("plain text", "plain text")


async def test_the_same_characters_from_another_keyboard_are_the_same(
    passwords: Passwords,
) -> None:
    kept = await passwords.hash("cafe\u0301 au lait für zwei")
    assert await passwords.verify(kept, "caf\u00e9 au lait für zwei")


async def test_a_hash_with_other_parameters_is_outdated(passwords: Passwords) -> None:
    assert not passwords.is_outdated(await passwords.hash("seven candles on a shelf"))
    assert Passwords().is_outdated(await passwords.hash("seven candles on a shelf"))


def test_the_parameters_are_those_of_rfc_9106() -> None:
    assert Passwords().hash_now("x").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_two_are_hashed_at_once_and_the_rest_wait_or_come_back() -> None:
    running = most = 0

    class Slow(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                return super().hash(password, salt=salt)
            finally:
                running -= 1

    passwords = Passwords(Slow(time_cost=2, memory_cost=4096, parallelism=1))
    done = await asyncio.gather(
        *(passwords.hash(f"password {n}") for n in range(60)), return_exceptions=True
    )
    refused = [one for one in done if isinstance(one, RequestError)]
    assert most <= 2
    assert len(refused) == 60 - 32
    assert {(one.status, one.retry_after_s) for one in refused} == {(429, 3)}


@pytest.mark.parametrize(
    "password",
    [
        "",
        "eleven char",
        "x" * (MAX_CHARS + 1),
        "aaaaaaaaaaaaaaaa",
        "123456789012",
        "PasswordPassword",
        "Password-1234",
        "qwertyuiop[]",
        "Anna Berg 19900101",
        "annaberg123456",
        "with a nul \0 in it",
        "half a pair \ud800 of it",
    ],
)
def test_what_is_guessed_first_is_refused(password: str) -> None:
    with pytest.raises(RequestError) as refused:
        check_new(password, "Anna Berg")
    assert (refused.value.status, refused.value.field) == (400, "password")
    assert refused.value.remedy


@pytest.mark.parametrize(
    "password", ["seven candles on a shelf", "我喜欢在周末画画和爬山看书", "Tr0ub4dor&3xyz"]
)
def test_other_long_ones_are_taken(password: str) -> None:
    assert check_new(password, "Anna Berg") == password


def test_a_one_time_password_is_long_and_never_the_same() -> None:
    words = {one_time() for _ in range(200)}
    assert len(words) == 200
    for word in words:
        assert check_new(word, "Anna") == word
        assert not set(word) & set("0O1lI")
