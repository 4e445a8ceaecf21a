"""Answers, models and channels in the console, with the real bot behind them."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import create_engine, text

from bot.bench.system import PrivateSystem, private_system
from nlu.bundle import BundleStore
from tests.browser.console_page import NARROW, Console, ask, employ

QUESTION = "How do I delete my account?"
SECONDS = 1_000  # Playwright counts in milliseconds


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> BundleStore:
    """The trained models with a second version beside the first: its twin under another name."""
    original = Path(os.environ.get("KEFU_MODELS_DIR", "models"))
    folder = tmp_path_factory.mktemp("models") / "models"
    # The large files are shared: versions are never written to.
    shutil.copytree(original, folder, copy_function=_share, ignore=shutil.ignore_patterns(".*"))
    store = BundleStore(folder)
    current = store.current()
    assert current is not None
    twin = store.root / "20300101-000000-twin00"
    shutil.copytree(store.root / current, twin, copy_function=_share)
    manifest = json.loads((twin / "manifest.json").read_text())
    manifest |= {"version": twin.name, "parent": current}
    (twin / "manifest.json").unlink()
    (twin / "manifest.json").write_text(json.dumps(manifest))
    # The pointer is written: it must not be the original's.
    (store.root / "current").unlink()
    (store.root / "current").write_text(current)
    return store


def _share(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def own_system(
    tmp_path_factory: pytest.TempPathFactory, models: BundleStore
) -> Iterator[PrivateSystem]:
    """A kefu whose answers and models nobody else uses."""
    settings = {"KEFU_MODELS_DIR": str(models.root.parent), "KEFU_REST_WEBHOOK": "on"}
    with private_system(tmp_path_factory.mktemp("admin"), settings) as running:
        employ(running, "Rita", "reviewer")
        employ(running, "Root", "administrator")
        employ(running, "Ada", "agent")
        yield running


@pytest.fixture
def sign_in(browser: Browser, own_system: PrivateSystem) -> Iterator[Callable[..., Console]]:
    """Opens the console as one of the staff."""
    opened: list[Console] = []

    def open_as(name: str, **options: Any) -> Console:
        opened.append(Console(browser, own_system.url, **options).sign_in(name))
        return opened[-1]

    yield open_as
    for console in opened:
        console.close()


def until(holds: Callable[[], bool], seconds: float) -> float:
    """Wait until it holds; returns after how many seconds it did."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds
        time.sleep(0.1)
    return time.monotonic() - started


def query(system: PrivateSystem, sql: str) -> list[Any]:
    engine = create_engine(f"sqlite:///{system.state_dir / 'kefu.db'}")
    with engine.connect() as connection:
        rows = list(connection.execute(text(sql)).all())
    engine.dispose()
    return rows


def test_an_edited_answer_is_said_within_seconds_and_restored_again(
    sign_in: Callable[..., Console], own_system: PrivateSystem, axe: str
) -> None:
    before = ask(own_system, QUESTION)
    assert "Delete account" in before
    console = sign_in("Rita")
    page = console.goto("/answers").page
    page.get_by_label("Search", exact=True).fill("delete my account")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name=QUESTION).click()
    page.get_by_label("Answer", exact=True).fill("Press the red button, and it is gone.")
    page.get_by_label("Why (for the history)").fill("there is a button now")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    took_s = until(lambda: "red button" in ask(own_system, QUESTION), 10)
    print(f"the edit was said after {took_s:.1f} s")
    expect(page.get_by_text("there is a button now")).to_be_visible()
    assert console.violations(axe) == []
    page.get_by_role("button", name="Restore revision 0").click()
    expect(page.get_by_role("status").filter(has_text="Restored")).to_be_visible()
    until(lambda: ask(own_system, QUESTION) == before, 10)
    # It was given, and that stands here.
    page.reload()
    given = re.search(r"given (\d+) times", page.inner_text("main"))
    assert given is not None
    assert int(given[1]) >= 3


def test_two_editors_of_one_answer_meet_in_the_form(
    sign_in: Callable[..., Console], axe: str
) -> None:
    rita, root = sign_in("Rita"), sign_in("Root", viewport=NARROW)
    pages: list[Page] = [console.goto("/answers/delivery-002").page for console in (rita, root)]
    for page, words in zip(pages, ("Rita's words.", "Root's words."), strict=True):
        page.get_by_label("Answer", exact=True).fill(words)
    pages[0].get_by_role("button", name="Save").click()
    expect(pages[0].get_by_role("status").filter(has_text="Saved")).to_be_visible()
    pages[1].get_by_role("button", name="Save").click()
    expect(pages[1].get_by_role("alert")).to_contain_text("Rita's words.")
    expect(pages[1].get_by_label("Answer", exact=True)).to_have_value("Root's words.")
    assert root.violations(axe) == []
    assert root.overflow() <= 0
    pages[1].get_by_role("button", name="Save").click()
    expect(pages[1].get_by_role("status").filter(has_text="Saved")).to_be_visible()


def test_a_new_answer_is_tested_in_the_console_before_a_customer_asks(
    sign_in: Callable[..., Console], own_system: PrivateSystem, axe: str
) -> None:
    console = sign_in("Rita")
    page = console.goto("/answers/new").page
    page.get_by_label("Question").fill("Do you sell beehives?")
    page.get_by_label("Other wordings").fill("beehive\nwhere are the beehives")
    page.get_by_label("Answer", exact=True).fill("Beehives come in spring.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    console.goto("/answers")
    page.get_by_label("What would the bot answer to").fill("where are the beehives")
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#verdict")).to_contain_text("It answers")
    expect(page.locator("#verdict")).to_contain_text("Beehives come in spring.")
    assert console.violations(axe) == []
    page.set_viewport_size({"width": 400, "height": 800})
    assert console.overflow() <= 0
    agent = sign_in("Ada").goto("/answers").page
    expect(agent.get_by_role("link", name="New answer")).to_have_count(0)


def test_a_version_is_promoted_and_rolled_back_and_the_log_names_it(
    sign_in: Callable[..., Console], own_system: PrivateSystem, models: BundleStore, axe: str
) -> None:
    current = models.current()
    twin = "20300101-000000-twin00"
    console = sign_in("Root")
    page = console.goto("/models").page
    expect(page.locator("#active")).to_have_text(str(current))
    page.get_by_role("link", name=f"Promote {twin}").click()
    assert console.violations(axe) == []
    page.get_by_role("button", name="Yes, promote it").click()
    # The page says so when the service really has switched, without being loaded again.
    expect(page.locator("#active")).to_have_text(twin, timeout=60 * SECONDS)
    ask(own_system, "when will my parcel come")
    newest = "SELECT model_version FROM turn ORDER BY created_at DESC LIMIT 1"
    assert query(own_system, newest) == [(twin,)]
    page.reload()
    page.get_by_role("link", name=f"Roll back to {current}").click()
    page.get_by_role("button", name="Yes, promote it").click()
    expect(page.locator("#active")).to_have_text(str(current), timeout=60 * SECONDS)
    ask(own_system, "when will my parcel come")
    assert query(own_system, newest) == [(current,)]
    console.goto("/models")
    page.get_by_role("button", name="Compare two versions").click()
    expect(page.get_by_role("rowheader", name="Intent accuracy")).to_be_visible()
    assert console.violations(axe) == []
    rows = query(own_system, "SELECT target FROM audit WHERE action = 'promote_model' ORDER BY id")
    assert rows == [(twin,), (current,)]


def test_a_training_is_seen_going_on_and_cancelled(
    sign_in: Callable[..., Console], models: BundleStore, axe: str
) -> None:
    current, versions = models.current(), models.versions()
    console = sign_in("Root")
    page = console.goto("/models").page
    page.get_by_label("Most epochs").fill("1")
    page.get_by_role("button", name="Start training").click()
    lines = page.locator("#runs .models-lines")
    expect(lines).to_contain_text("training intent", timeout=120 * SECONDS)
    assert console.violations(axe) == []
    page.get_by_role("button", name="Cancel").click()
    run = page.locator("#runs article").first
    expect(run).to_have_attribute("data-state", "cancelled", timeout=30 * SECONDS)
    assert (models.current(), models.versions()) == (current, versions)


def test_a_message_that_was_not_delivered_is_tried_again(
    sign_in: Callable[..., Console], own_system: PrivateSystem, axe: str
) -> None:
    ask(own_system, "hello")
    (message,) = query(
        own_system,
        "SELECT id, conversation_id, account, seq, created_at FROM message "
        "WHERE direction = 'out' ORDER BY created_at DESC LIMIT 1",
    )
    engine = create_engine(f"sqlite:///{own_system.state_dir / 'kefu.db'}")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO outbox (id, conversation_id, channel, account, seq, state, attempts, "
                "next_at, error, created_at) VALUES (:id, :conversation_id, 'telegram', :account, "
                ":seq, 'failed', 5, :created_at, 'the platform said no', :created_at)"
            ),
            message._mapping,
        )
    engine.dispose()
    console = sign_in("Root")
    page = console.goto("/channels").page
    expect(page.locator('[data-channel="telegram"]')).to_contain_text("1 not delivered")
    assert console.violations(axe) == []
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Try again", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="queued again")).to_be_visible()
    assert query(own_system, "SELECT state, attempts FROM outbox") == [("queued", 0)]
    expect(page.get_by_text("All messages were delivered.")).to_be_visible()
