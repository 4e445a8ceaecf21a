"""The audit log's page: filters, pages, and the CSV file of both."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from bot.log import audit
from bot.world import sortable_id
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import Visitor, employ, sign_in

DAY = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROW = re.compile(r"<code>([^<]+)</code>")


async def note(running: Running, *rows: tuple[str, str, str, datetime]) -> None:
    def unit(connection: Any) -> None:
        for actor, action, target, at in rows:
            audit.note(
                connection,
                id_=sortable_id(),
                who=(actor, action, target),
                detail={"note": "=1+1"},
                now=at,
            )

    await running.gateway.journal.write(unit)


@pytest.fixture
async def ada(running: Running) -> Visitor:
    return await sign_in(running, "Ada", "administrator")


@pytest.fixture
async def ben(running: Running) -> str:
    return await employ(running, "Ben")


async def test_rows_are_found_by_who_what_on_what_and_when(
    running: Running, ada: Visitor, ben: str
) -> None:
    await note(
        running,
        (ben, "read_transcript", "conversation-1", DAY),
        (ben, "take", "conversation-2", DAY + timedelta(days=1)),
        ("203.0.113.0/24", "forged_token", "GET /api", DAY + timedelta(days=2)),
    )

    async def actions(query: str) -> list[str]:
        return ROW.findall(await ada.text(f"/audit?{query}&to=2026-02-28"))

    assert await actions("") == ["forged_token", "take", "read_transcript"]
    assert await actions("actor=Ben") == ["take", "read_transcript"]
    assert await actions(f"actor={ben}") == ["take", "read_transcript"]
    assert await actions("actor=203.0.113.0/24") == ["forged_token"]
    assert await actions("action=take") == ["take"]
    assert await actions("target=conversation-1") == ["read_transcript"]
    assert await actions("from=2026-02-01") == ["forged_token", "take"]
    assert ROW.findall(await ada.text("/audit?from=2026-02-01&to=2026-02-01")) == ["take"]
    assert await actions("actor=Nobody") == []
    page = await ada.text("/audit?to=2026-02-28")
    assert "conversation-1" in page
    assert ">Ben</a>" in page


@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=0001-01-01", "to=9999-12-31", "after=x", "actor=a%00b"]
)
async def test_what_is_no_filter_is_said(ada: Visitor, query: str) -> None:
    response = await ada.get(f"/audit?{query}")
    assert response.status == 400
    assert 'role="alert"' in await response.text()


async def test_pages_follow_each_other_without_gap_or_repetition(
    running: Running, ada: Visitor, ben: str
) -> None:
    # Rows of the same moment too.
    await note(
        running,
        *((ben, f"action-{n:03}", "t", DAY + timedelta(seconds=n // 7)) for n in range(120)),
    )
    seen: list[str] = []
    path: str | None = "/audit?actor=Ben"
    while path is not None:
        page = await ada.text(path)
        seen += ROW.findall(page)
        link = re.search(r'rel="next" href="/console([^"]+)"', page)
        path = None if link is None else unquote(link[1]).replace("&amp;", "&")
        assert path is None or "actor=Ben" in path, "the filter stays"
    assert len(seen) == 120
    assert sorted(seen, reverse=True) == seen


async def test_the_file_holds_all_rows_of_the_filter_and_runs_nothing(
    running: Running, ada: Visitor, ben: str
) -> None:
    await note(
        running,
        *((ben, "read_transcript", f"=cmd{n}", DAY) for n in range(1203)),
        ("cli", "agent.add", "x", DAY),
    )
    response = await ada.get("/audit.csv?actor=Ben")
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    read = list(csv.DictReader(io.StringIO((await response.read()).decode("utf-8-sig"))))
    assert len(read) == 1203
    assert len({row["target"] for row in read}) == 1203
    assert {row["actor_name"] for row in read} == {"Ben"}
    assert all(row["target"].startswith("'=cmd") for row in read)
    (looked,) = ROW.findall(await ada.text("/audit?action=audit.export"))
    assert looked == "audit.export"
