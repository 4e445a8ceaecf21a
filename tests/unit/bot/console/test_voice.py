"""/voice and /alerts: the figures, files for spreadsheets, an alert from open to muted."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from bot.log import tables
from bot.log.voice_alerts import Finding, Findings, Muting, keep_findings, listed, mute
from bot.log.voice_count import hour_of
from bot.world import utc_now
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import Visitor, sign_in

FORMULA = '=HYPERLINK("http://evil.example")'


@pytest.fixture
async def reviewer(running: Running) -> Visitor:
    return await sign_in(running, "Rita", "reviewer")


async def converse(running: Running, text: str = "Where is my parcel?") -> str:
    """A customer writes, and the voice is counted."""
    conversation = await running.converse()
    status, _ = await conversation.say("m-1", text)
    assert status == 200
    await running.gateway.voice.counting.once()
    return conversation.id


async def write(running: Running, unit: Callable[[Connection], Any]) -> Any:
    return await running.gateway.journal.write(unit)


async def open_alert(running: Running, name: str = "track_order") -> str:
    now = utc_now()
    finding = Finding(
        id=f"alert-{name}",
        series=("intent", name),
        cases=40,
        upset=30,
        expected=0.2,
        p_value=1e-9,
    )
    findings = Findings(hour=hour_of(now) + 1, opened=[finding], seen=(), over=())
    forget = update(tables.voice_state).values(looked_hour=None)
    await write(running, lambda connection: connection.execute(forget).rowcount)
    await write(running, partial(keep_findings, findings=findings, now=now, notify=False))
    return finding.id


async def test_the_page_shows_figures_and_leads_into_the_inbox(
    running: Running, reviewer: Visitor
) -> None:
    await converse(running)
    page = await reviewer.text("/voice")
    assert "Voice of the customer" in page
    assert "intent=track_order&amp;emotion=angry" in page
    assert 'data-value="1.0"' in page or 'data-value="1"' in page
    assert "charts" in page
    assert "style=" not in page
    assert "<script>" not in page


async def test_a_period_without_conversations_says_so(running: Running, reviewer: Visitor) -> None:
    await converse(running)
    page = await reviewer.text("/voice?period=custom&from=2020-01-01&to=2020-01-31")
    assert "No conversations in this period." in page


async def test_filters_leave_out_other_channels_and_languages(
    running: Running, reviewer: Visitor
) -> None:
    await converse(running)
    assert "track_order" in await reviewer.text("/voice?channel=api")
    assert "No conversations" in await reviewer.text("/voice?channel=telegram")
    assert "track_order" in await reviewer.text("/voice?language=unknown")
    assert "No conversations" in await reviewer.text("/voice?language=en")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("period=12", "period"),
        ("period=custom&from=2026-02-30", "from"),
        ("period=custom&from=2026-02-02&to=2026-02-01", "from"),
        ("period=custom&from=2001-02-02&to=2026-02-01", "from"),
        ("period=custom&to=0001-01-01", "to"),
        ("channel=" + "x" * 200, "channel"),
        ("language=a%00b", "language"),
    ],
)
async def test_a_bad_address_is_told_apart(reviewer: Visitor, query: str, field: str) -> None:
    response = await reviewer.get(f"/voice?{query}", Accept="application/json")
    assert response.status == 400
    assert (await response.json())["error"]["field"] == field


async def test_files_for_spreadsheets_hold_the_counts_and_no_formula(
    running: Running, reviewer: Visitor
) -> None:
    id_ = await converse(running)
    await write(
        running,
        lambda connection: connection.execute(update(tables.turn).values(intent=FORMULA)).rowcount,
    )
    await running.gateway.voice.counting.once()
    response = await reviewer.get("/voice/topics.csv")
    assert response.headers["Content-Disposition"].startswith("attachment")
    text = (await response.read()).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["intent"] == "'" + FORMULA
    assert (row["emotion"], row["turns"], row["channel"]) == ("angry", "1", "api")
    response = await reviewer.get("/voice/days.csv")
    text = (await response.read()).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["turns"], row["contacts"], row["upset"]) == ("1", "1", "1")
    assert id_ not in text
    page = await reviewer.text("/voice")
    assert FORMULA not in page, "it is escaped"


async def test_what_was_exported_read_and_changed_is_on_record(
    running: Running, reviewer: Visitor
) -> None:
    alert_id = await open_alert(running)
    await reviewer.get("/voice/days.csv")
    await reviewer.get("/alerts")
    await reviewer.get(f"/alerts/{alert_id}")
    await reviewer.post(f"/alerts/{alert_id}/acknowledge")
    await reviewer.post(f"/alerts/{alert_id}/mute", reason="secret words", days="1")
    await reviewer.post("/alerts/unmute", kind="intent", name="track_order")

    def actions(connection: Connection) -> set[str]:
        query = select(tables.audit).where(tables.audit.c.actor == reviewer.id)
        rows = connection.execute(query).all()
        assert "secret words" not in str([row.detail for row in rows])
        return {row.action for row in rows}

    assert await running.gateway.journal.read(actions) >= {
        "voice.export",
        "alerts.read",
        "alert.read",
        "alert.acknowledge",
        "alert.mute",
        "alert.unmute",
    }


async def test_an_alert_shows_examples_and_who_looks_after_it(
    running: Running, reviewer: Visitor
) -> None:
    id_ = await converse(running, "<b>Where</b> is my parcel?")
    alert_id = await open_alert(running)
    page = await reviewer.text("/alerts")
    assert "30 of 40 conversations upset (75%); 20% were to be expected." in page
    assert f"/console/conversations/{id_}" in page
    assert "&lt;b&gt;Where&lt;/b&gt; is my parcel?" in page
    response = await reviewer.post(f"/alerts/{alert_id}/acknowledge")
    assert response.status == 303
    assert "looked after by Rita" in await reviewer.text("/alerts")
    assert "angry" in await reviewer.text(f"/alerts/{alert_id}")


async def test_a_topic_is_muted_with_a_reason_and_heard_again(
    running: Running, reviewer: Visitor
) -> None:
    alert_id = await open_alert(running)
    for fields, field in (({"days": "7"}, "reason"), ({"reason": "x", "days": "9"}, "days")):
        response = await reviewer.post(f"/alerts/{alert_id}/mute", json=True, **fields)
        assert (response.status, (await response.json())["error"]["field"]) == (400, field)
    response = await reviewer.post(f"/alerts/{alert_id}/mute", reason="carrier's strike", days="7")
    assert response.status == 303
    page = await reviewer.text("/alerts")
    assert "carrier&#39;s strike" in page
    response = await reviewer.post("/alerts/unmute", kind="intent", name="track_order")
    assert response.status == 303
    assert "Muted topics" not in await reviewer.text("/alerts")
    response = await reviewer.post("/alerts/unmute", kind="intent", name="track_order")
    assert response.status == 404


async def test_agents_look_after_alerts_and_mute_none(running: Running) -> None:
    alert_id = await open_alert(running)
    agent = await sign_in(running, "Ada", "agent")
    assert "/mute" not in await agent.text("/alerts")
    response = await agent.post(f"/alerts/{alert_id}/mute", reason="x", days="7")
    assert response.status == 403
    assert (await agent.post(f"/alerts/{alert_id}/acknowledge")).status == 303


@pytest.mark.parametrize("path", ["/alerts/none", "/alerts/none/acknowledge", "/alerts/none/mute"])
async def test_an_unknown_alert_is_a_404(reviewer: Visitor, path: str) -> None:
    if path.endswith("none"):
        response = await reviewer.get(path)
    else:
        response = await reviewer.post(path, reason="x", days="7")
    assert response.status == 404


async def test_a_mute_that_is_over_is_none(running: Running, reviewer: Visitor) -> None:
    await open_alert(running)
    now = utc_now()
    muting = Muting(
        series=("intent", "track_order"), reason="old", until=now - timedelta(days=1), by="x"
    )
    await write(running, partial(mute, muting=muting, now=now))
    page = await reviewer.text("/alerts")
    assert "Muted topics" not in page
    assert "badge-warn" not in page
    rows = await running.gateway.journal.read(listed)
    assert rows[0]["muted_reason"] == "old"


async def test_chinese_has_all_the_words(running: Running, reviewer: Visitor) -> None:
    await converse(running)
    await open_alert(running)
    for path in ("/voice", "/alerts"):
        response = await reviewer.get(path, **{"Accept-Language": "zh-CN"})
        assert response.status == 200
        assert "情绪" in await response.text()
