"""The customers' voice in a browser: figures, charts, files, and an alert from shift to mute."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from bot.bench.system import PrivateSystem
from bot.log import database, tables
from bot.world import utc_now
from tests.browser.console_page import NARROW, Console, employ, kefu
from tests.integration.voice_log import VoiceLog

INTENT = "ask_candle_scent"
HOUR = timedelta(hours=1)
STEADY_DAYS = 88


@pytest.fixture(scope="module")
def log(system: PrivateSystem) -> Iterator[VoiceLog]:
    """The running system's own database, with 88 steady days of one intent in it."""
    engine = database.open_engine(f"sqlite:///{system.state_dir / 'kefu.db'}", writer=True)
    log = VoiceLog(engine=engine, now=utc_now())
    inject(log, hours=24 * STEADY_DAYS, upset=0.2)
    with log.writing() as connection:
        # What the gateway had counted before it knew of them.
        connection.execute(update(tables.voice_state).values(counted_to=None))
    yield log
    engine.dispose()


def inject(log: VoiceLog, *, hours: int, upset: float, a_day: float = 40) -> None:
    """Turns of the last hours, by the log's own functions: each by another customer."""
    draw = np.random.default_rng(hours)
    now = utc_now()
    for first in range(hours, 0, -24):
        # A transaction a day: the gateway wants to write, too.
        with log.writing() as connection:
            for hour in range(first, max(0, first - 24), -1):
                for _ in range(int(draw.poisson(a_day / 24))):
                    at = now - hour * HOUR + timedelta(minutes=float(draw.uniform(0, 59)))
                    id_ = log.open(connection, "injected", "en", at)
                    emotion = "angry" if draw.random() < upset else "neutral"
                    log.turn(
                        connection, id_, at, channel="injected", intent=INTENT, emotion=emotion
                    )


def look(system: PrivateSystem, hours_from_now: int) -> dict[str, list[dict[str, str]]]:
    """`kefu watch --once`; the gateway may be counting at that moment."""
    at = f"{utc_now() + hours_from_now * HOUR:%Y-%m-%dT%H:%M:%S}"
    for _ in range(20):
        found = json.loads(kefu(system, "watch", "--once", "--at", at, "--json"))
        if found["looked"]:
            return dict(found)
    raise AssertionError("another gateway counts without end")


@pytest.fixture(scope="module")
def console(system: PrivateSystem, browser: Browser, log: VoiceLog) -> Iterator[Console]:
    employ(system, "Vera", "administrator")
    console = Console(browser, system.url).sign_in("Vera")
    yield console
    console.close()


def test_thirty_steady_days_raise_no_alert_and_a_shift_does(
    console: Console, system: PrivateSystem, log: VoiceLog, axe: str
) -> None:
    replay = json.loads(kefu(system, "watch", "--replay", "30", "--json"))
    assert replay == {"days": 30, "opened": []}
    assert look(system, 1)["opened"] == []
    page = console.goto("/alerts").page
    expect(page.get_by_text("No open alerts.")).to_be_visible()

    inject(log, hours=20, upset=0.9, a_day=120)
    opened = look(system, 2)["opened"]
    assert {"intent", "channel"} == {one["kind"] for one in opened}
    page.reload()
    card = page.locator("article", has=page.get_by_role("heading", name=f"Intent: {INTENT}"))
    expect(card.get_by_text("were to be expected")).to_be_visible()
    expect(card.locator(".voice-examples li")).to_have_count(5)
    assert console.violations(axe) == []
    card.get_by_role("button", name="I look after it").click()
    expect(card.get_by_text("looked after by Vera")).to_be_visible()
    card.get_by_text("Mute", exact=True).first.click()
    card.get_by_label("Why").fill("the scents are sold out")
    card.get_by_label("For").select_option("7")
    card.get_by_role("button", name="Mute").click()
    expect(page.get_by_text("the scents are sold out")).to_be_visible()
    expect(card.get_by_text("muted", exact=True)).to_be_visible()
    card.locator(".voice-examples a").first.click()
    expect(page).to_have_url(console.url + "/conversations/" + page.url.rsplit("/", 1)[1])


def test_figures_follow_the_filters_and_lead_into_the_inbox(
    console: Console, system: PrivateSystem, log: VoiceLog
) -> None:
    kefu(system, "watch", "--replay", "1", "--json")
    page = console.goto("/voice").page
    page.get_by_label("Channel", exact=True).select_option("injected")
    page.get_by_label("Period", exact=True).select_option("7")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".voice-topics tbody tr")).to_have_count(1)
    turns = page.locator(".voice-card", has_text="Messages of customers").locator(".voice-value")
    with log.engine.connect() as connection:
        first = utc_now().date() - timedelta(days=6)
        exact = connection.exec_driver_sql(
            f"SELECT count(*) FROM turn WHERE intent = '{INTENT}' AND created_at >= '{first}'"
        ).scalar_one()
    assert int((turns.text_content() or "").replace(",", "")) == exact
    page.get_by_label("From", exact=True).fill("2001-01-01")
    expect(page.get_by_label("Period", exact=True)).to_have_value("custom")
    page.reload()
    link = page.locator(".voice-topics tbody td a").first
    link.click()
    page.wait_for_url("**/console/inbox?**")
    assert f"intent={INTENT}" in page.url
    assert "emotion=angry" in page.url
    assert "channel=injected" in page.url


def test_charts_are_drawn_and_saved_as_pictures(console: Console, tmp_path: Path) -> None:
    page = console.goto("/voice?channel=injected").page
    expect(page.locator("figure[data-drawn]")).to_have_count(3)
    assert ink(page) > 500, "something is drawn"
    figure = page.locator("figure", has_text="Emotions of customers")
    with page.expect_download() as saved:
        figure.get_by_role("button", name="Save as PNG").click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    raw = path.read_bytes()
    assert path.name.startswith("voice-emotions-")
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])) == (1600, 900)
    assert len(raw) > 20_000
    figure.get_by_text("As a table").click()
    expect(figure.locator("tbody tr")).to_have_count(28)


def ink(page: Page) -> int:
    """Pixels of the first chart that are not empty."""
    return int(
        page.locator("canvas").first.evaluate(
            "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
            ".filter((value, place) => place % 4 === 3 && value > 0).length"
        )
    )


def test_the_table_is_saved_for_spreadsheets(console: Console, tmp_path: Path) -> None:
    page = console.goto("/voice?channel=injected").page
    with page.expect_download() as saved:
        page.get_by_role("link", name="Intents as CSV").click()
    text = Path(saved.value.path()).read_text("utf-8-sig")
    assert text.splitlines()[0].startswith('"intent","emotion"')
    assert INTENT in text


@pytest.mark.parametrize(
    "options",
    [{}, {"color_scheme": "dark"}, {"viewport": NARROW}, {"viewport": NARROW, "locale": "zh-CN"}],
)
def test_the_pages_are_accessible_and_fit(
    system: PrivateSystem, browser: Browser, console: Console, axe: str, options: dict[str, object]
) -> None:
    other = Console(browser, system.url, **options).sign_in("Vera")
    for path in ("/voice", "/alerts"):
        other.goto(path).page.wait_for_load_state("networkidle")
        assert other.violations(axe) == []
        assert other.overflow() <= 0
    other.close()


def test_the_page_says_it_all_without_scripts(
    system: PrivateSystem, browser: Browser, console: Console
) -> None:
    cookies = console.context.cookies()
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(console.url + "/voice?channel=injected")
    figure = page.locator("figure").first
    expect(figure.locator("canvas")).to_be_hidden()
    expect(figure.get_by_role("button", name="Save as PNG")).to_be_hidden()
    figure.get_by_text("As a table").click()
    expect(figure.locator("tbody tr").first).to_be_visible()
    context.close()
