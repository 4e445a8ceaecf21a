"""An administrator erases a customer of the widget, and reads the report, with real Rasa behind."""

import hashlib
import hmac
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, expect

from bot.bench.system import PrivateSystem
from tests.browser.conftest import IDENTITY_SECRET
from tests.browser.console_page import NARROW, Console, employ

ADMIN = "Privacy Lund"
CANARY = "quetzalcoatlus"


@pytest.fixture(scope="module")
def staff(system: PrivateSystem) -> PrivateSystem:
    """A system with an administrator."""
    employ(system, ADMIN, "administrator")
    return system


@pytest.fixture
def console(browser: Browser, staff: PrivateSystem) -> Iterator[Callable[..., Console]]:
    """Opens signed-in browser profiles."""
    opened: list[Console] = []

    def make(**options: Any) -> Console:
        opened.append(Console(browser, staff.url, **options).sign_in(ADMIN))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def customer(system: PrivateSystem, user_id: str) -> str:
    """A logged-in customer who has said something; the conversation's id."""
    signed = hmac.new(IDENTITY_SECRET.encode(), user_id.encode(), hashlib.sha256).hexdigest()
    opened = requests.post(
        f"{system.url}/api/v1/conversations",
        json={"identity": {"user_id": user_id, "hmac": signed}},
        timeout=30,
    ).json()
    said = requests.post(
        f"{system.url}/api/v1/conversations/{opened['conversation_id']}/messages",
        json={"id": "m1", "text": f"Where is my order, asks {CANARY}?"},
        params={"wait": "true"},
        headers={"Authorization": f"Bearer {opened['token']}"},
        timeout=60,
    )
    assert said.status_code == 200, said.text
    return str(opened["conversation_id"])


def test_a_customer_is_found_given_what_is_held_and_erased(
    console: Callable[..., Console], staff: PrivateSystem, axe: str, tmp_path: Path
) -> None:
    conversation = customer(staff, "browser-canary-1")
    privacy = console().goto("/privacy")
    page = privacy.page
    page.get_by_label("Customer's id, account or conversation").fill("browser-canary-1")
    page.get_by_role("button", name="Search").click()
    assert "browser-canary-1" not in page.url
    assert privacy.violations(axe) == []
    page.get_by_role("link", name=conversation).click()
    expect(
        page.get_by_text("All conversations of the proven id browser-canary-1: 1.")
    ).to_be_visible()
    assert privacy.violations(axe) == []

    with page.expect_download() as download:
        page.get_by_role("button", name="Download everything").click()
    archive = tmp_path / "customer.zip"
    download.value.save_as(archive)
    held = json.loads(zipfile.ZipFile(io.BytesIO(archive.read_bytes())).read("customer.json"))
    assert CANARY in held["tables"]["message"][0]["text"]

    page.get_by_label("Reason").fill("letter of 4 May")
    page.get_by_label("Type the id to confirm").fill("browser-canary-1")
    page.get_by_role("button", name="Erase for good").click()
    # The page follows the steps by itself.
    expect(page.get_by_role("heading", name="Report")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Everything went within")).to_be_visible()
    expect(page.get_by_text("what the dialogue remembers", exact=False)).to_be_visible()
    assert privacy.violations(axe) == []
    assert CANARY not in page.content()
    # The download of before is named: nobody here can reach it.
    expect(page.get_by_text("A file that somebody downloaded:")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the report (JSON)").click()
    report = json.loads(Path(download.value.path()).read_text())
    assert report["conversations"] == 1
    assert report["models"]["understood_by"]
    left = b"".join(path.read_bytes() for path in staff.state_dir.glob("*.db*"))
    assert b"browser-canary-1" not in left

    privacy.goto("/privacy")
    expect(page.get_by_text("letter of 4 May")).to_be_visible()


def test_another_id_erases_nobody(console: Callable[..., Console], staff: PrivateSystem) -> None:
    conversation = customer(staff, "browser-canary-2")
    page = console().goto(f"/privacy/customers/{conversation}").page
    page.get_by_label("Type the id to confirm").fill("browser-canary")
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_text("type the id exactly as it is shown")).to_be_visible()
    page.goto(f"{staff.url}/console/privacy/customers/{conversation}")
    expect(page.get_by_role("heading", name="What would go")).to_be_visible()


def test_retention_is_counted_before_it_is_saved_also_on_a_phone(
    console: Callable[..., Console], staff: PrivateSystem, axe: str
) -> None:
    conversation = customer(staff, "browser-canary-3")
    narrow = console(viewport=NARROW)
    page = narrow.goto("/privacy/retention").page
    page.get_by_label("Rows of the audit log").fill("3650")
    page.get_by_role("button", name="Count only").click()
    expect(page.get_by_text("0 would be deleted now").first).to_be_visible()
    assert narrow.violations(axe) == []
    assert narrow.overflow() <= 0
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The rules are saved.")).to_be_visible()
    expect(page.get_by_label("Rows of the audit log")).to_have_value("3650")
    page.get_by_role("button", name="Apply the saved rules now").click()
    expect(page.get_by_text("The rules were applied.")).to_be_visible()
    narrow.goto(f"/privacy/customers/{conversation}")
    assert narrow.overflow() <= 0
    assert narrow.violations(axe) == []
