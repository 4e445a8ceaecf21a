"""Refusals leave audit rows, but nobody fills the disk with them."""

import asyncio
from ipaddress import ip_address
from typing import Any

import pytest

from bot.errors import StorageError
from bot.http.refusals import MOST_KEYS, ROWS_PER_MIN, Refusals
from bot.tokens import Tokens


class Log:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, dict[str, Any]]] = []
        self.now_s = 0.0
        self.broken = False

    async def audit(
        self, actor: str, action: str, target: str, detail: dict[str, Any] | None = None
    ) -> None:
        if self.broken:
            raise StorageError("disk full")
        self.rows.append((actor, action, target, detail or {}))


def refusals_of(log: Log) -> Refusals:
    return Refusals(log, hash_text=Tokens("key").hash_text, clock=lambda: log.now_s)


CLIENT = ip_address("203.0.113.77")


async def test_the_first_is_a_row_and_the_next_are_counted() -> None:
    log = Log()
    refusals = refusals_of(log)
    for second in range(59):
        log.now_s = second
        refusals.note("forged_token", CLIENT, "POST /api/v1/conversations")
    log.now_s = 60
    refusals.note("forged_token", CLIENT, "POST /api/v1/conversations")
    await refusals.close()
    assert [row[3]["count"] for row in log.rows] == [1, 59]
    assert {row[:3] for row in log.rows} == {
        ("203.0.113.0/24", "forged_token", "POST /api/v1/conversations")
    }
    assert "203.0.113.77" not in str(log.rows)


async def test_actions_and_clients_are_told_apart() -> None:
    log = Log()
    refusals = refusals_of(log)
    refusals.note("forged_token", CLIENT, "x")
    refusals.note("foreign_origin", CLIENT, "x")
    refusals.note("forged_token", ip_address("203.0.113.78"), "x")
    refusals.note("forged_token", ip_address("2001:db8:1:2::3"), "x")
    refusals.note("forged_token", None, "x")
    await refusals.close()
    assert [row[0] for row in log.rows] == ["203.0.113.0/24"] * 3 + ["2001:db8:1::/48", "unknown"]
    assert len({row[3]["client"] for row in log.rows}) == 4


async def test_a_million_clients_write_few_rows_in_bounded_memory() -> None:
    log = Log()
    refusals = refusals_of(log)
    for number in range(20_000):
        refusals.note("forged_token", ip_address(number), "x")
    await refusals.close()
    assert len(log.rows) == ROWS_PER_MIN
    assert len(refusals._seen) == MOST_KEYS
    log.now_s = 61
    refusals.note("forged_token", ip_address(19_999), "x")
    await refusals.close()
    assert log.rows[-1][3]["count"] == 2


async def test_a_full_disk_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    log.broken = True
    refusals = refusals_of(log)
    refusals.note("forged_token", CLIENT, "x")
    await refusals.close()
    await asyncio.sleep(0)
    assert "audit row not kept" in caplog.text
