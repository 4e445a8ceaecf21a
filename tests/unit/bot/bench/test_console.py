"""The inbox's benchmark: what it asks for can be asked, and its plans are the fast ones."""

from pathlib import Path

import pytest

from bot.bench.console import _summary
from bot.bench.console_kinds import SHOWN, kinds
from bot.bench.console_plans import document, plans_of
from bot.console.inbox.query import read_query
from bot.log.seed_cli import fill
from bot.log.seed_texts import Material
from bot.world import utc_now

DATA = Path(__file__).parents[4] / "data"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite database with some made-up conversations."""
    url = f"sqlite:///{tmp_path_factory.mktemp('seeded') / 'kefu.db'}"
    fill(url, Material(DATA), plan=(400, 90, 1))
    return url


def test_every_kind_is_a_query_of_the_inbox() -> None:
    asked = kinds(utc_now(), ["old", "new"])
    assert set(SHOWN) <= set(asked)
    for fields in asked.values():
        read_query(fields, agent_id="nobody")


def test_lists_walk_the_covering_index_and_sort_nothing(seeded: str) -> None:
    asked = kinds(utc_now(), ["old", "new"])
    plans = plans_of(seeded, asked)
    for kind in ("first page", "a page 80 days back", "emotion", "four, next to none"):
        walked = [plan for plan in plans[kind] if "conversation_recent" in plan]
        assert walked, kind
        for plan in walked:
            assert "COVERING INDEX conversation_recent" in plan, kind
            assert "TEMP B-TREE" not in plan, kind
    page = document({"sqlite": plans}, 400)
    assert "## First page" in page
    assert "over 400 turns" in page


def test_the_slowest_kind_decides() -> None:
    figures = _summary({"a": [10.0, 20.0], "b": [5.0, 400.0]})
    assert figures["slowest"] == "b"
    assert figures["within_limit"] is False
    assert figures["kinds"]["a"] == {"p50_ms": 15.0, "p95_ms": 20.0}
