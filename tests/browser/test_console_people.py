"""People at the console: signing in, a colleague added, one's own account, the audit log."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from bot.bench.system import PrivateSystem
from tests.browser.console_page import NARROW, PASSWORD, Console, employ

ADA = "Ada Lund"
NEW_PASSWORD = "nine lanterns at the harbour"


@pytest.fixture(scope="module")
def staff(system: PrivateSystem) -> PrivateSystem:
    """A system with an administrator."""
    employ(system, ADA, "administrator")
    return system


@pytest.fixture
def console(browser: Browser, staff: PrivateSystem) -> Iterator[Callable[..., Console]]:
    """Opens browser profiles at the sign-in."""
    opened: list[Console] = []

    def make(**options: Any) -> Console:
        opened.append(Console(browser, staff.url, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def add(page: Page, url: str, name: str, role: str = "Agent") -> str:
    """Add a colleague as an administrator does; the password that is shown once."""
    page.goto(f"{url}/people")
    page.get_by_label("Name").fill(name)
    page.get_by_role("radio", name=role).check()
    page.get_by_role("button", name="Add a colleague").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Password for {name}")
    return page.locator("#secret").inner_text()


def test_from_a_wrong_password_to_the_page_one_wanted_and_out_again(
    console: Callable[..., Console], axe: str
) -> None:
    ada = console()
    page = ada.page
    page.goto(f"{ada.url}/audit?action=sign_in")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert ada.violations(axe) == []
    page.keyboard.type(ADA)
    page.keyboard.press("Tab")
    page.keyboard.type("not my password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Name and password do not belong together.")
    assert ada.violations(axe) == []
    page.get_by_label("Name").fill(ADA)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{ada.url}/audit?action=sign_in")
    expect(page.get_by_role("row").nth(1)).to_contain_text(ADA)
    assert page.evaluate("document.cookie") == "", "no script reads the session"
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{ada.url}/sign-in")
    page.go_back()
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_new_colleague_chooses_a_password_before_anything_else(
    console: Callable[..., Console], axe: str
) -> None:
    ada = console().sign_in(ADA)
    expect(ada.page.locator(".who")).to_contain_text(ADA)
    word = add(ada.page, ada.url, "Ben Ito")
    assert ada.violations(axe) == []

    ben = console(viewport=NARROW)
    ben.sign_in("Ben Ito", word)
    page = ben.page
    expect(page.get_by_role("heading", name="Choose a password")).to_be_visible()
    page.goto(f"{ben.url}/inbox")
    expect(page).to_have_url(f"{ben.url}/password")
    assert ben.violations(axe) == []
    assert ben.overflow() <= 0
    page.get_by_label("New password", exact=True).fill("Ben Ito 123456")
    page.get_by_label("New password again").fill("Ben Ito 123456")
    page.get_by_role("button", name="Choose a password").click()
    expect(page.get_by_role("alert")).to_have_text("The new password is your own name.")
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    page.get_by_label("New password again").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Choose a password").click()
    expect(page.get_by_role("status").first).to_have_text("The password was changed.")
    expect(page).to_have_url(f"{ben.url}/inbox")
    response = page.goto(f"{ben.url}/people")
    assert response is not None
    assert response.status == 403, "an agent manages nobody"


def test_a_role_a_token_and_the_end_of_somebodys_access(
    console: Callable[..., Console], axe: str
) -> None:
    ada = console().sign_in(ADA)
    expect(ada.page.locator(".who")).to_contain_text(ADA)
    word = add(ada.page, ada.url, "Cleo Dahl")
    cleo = console()
    cleo.sign_in("Cleo Dahl", word)
    expect(cleo.page.get_by_role("heading", name="Choose a password")).to_be_visible()

    page = ada.page
    page.get_by_role("link", name="Cleo Dahl").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cleo Dahl")
    assert ada.violations(axe) == []
    page.get_by_role("radio", name="Reviewer").check()
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("status").first).to_have_text("The role was changed.")
    expect(page.get_by_role("radio", name="Reviewer")).to_be_checked()
    page.get_by_role("button", name="Issue a token").click()
    assert len(page.locator("#secret").inner_text()) > 40
    page.get_by_role("link", name="Cleo Dahl").click()
    page.locator("summary", has_text="Remove").click()
    page.get_by_role("button", name="Remove Cleo Dahl").click()
    expect(page.get_by_role("status").first).to_have_text("Access was taken away.")
    expect(page.get_by_role("main")).not_to_contain_text("Cleo Dahl")
    cleo.page.reload()
    expect(cleo.page.get_by_role("button", name="Sign in")).to_be_visible()


def test_another_browser_is_signed_out_and_the_language_kept(
    console: Callable[..., Console], axe: str
) -> None:
    ada, phone = console().sign_in(ADA), console(viewport=NARROW).sign_in(ADA)
    for one in (ada, phone):
        expect(one.page.locator(".who")).to_contain_text(ADA)
    phone.goto("/password")
    assert phone.overflow() <= 0
    page = ada.goto("/password").page
    assert ada.violations(axe) == []
    page.get_by_role("button", name="Sign out everywhere else").click()
    expect(page.get_by_role("status").first).to_have_text("Signed out.")
    phone.page.reload()
    expect(phone.page.get_by_role("button", name="Sign in")).to_be_visible()
    page.locator("#locale").select_option("zh")
    page.locator("#theme").select_option("dark")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("您的账户")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert ada.violations(axe) == []
    page.locator("#locale").select_option("")
    page.locator("#theme").select_option("")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")


def test_the_audit_log_is_filtered_and_saved(console: Callable[..., Console], axe: str) -> None:
    ada = console(viewport=NARROW).sign_in(ADA)
    expect(ada.page.locator(".who")).to_contain_text(ADA)
    page = ada.page
    page.goto(f"{ada.url}/audit")
    assert ada.violations(axe) == []
    assert ada.overflow() <= 0
    page.get_by_label("Who").fill(ADA)
    page.get_by_label("Action").select_option("sign_in")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody code").first).to_have_text("sign_in")
    assert set(page.locator("tbody code").all_inner_texts()) == {"sign_in"}
    with page.expect_download() as saving:
        page.get_by_role("link", name="Save as CSV").click()
    lines = saving.value.path().read_text("utf-8-sig").splitlines()
    assert len(lines) > 1
    assert all('"sign_in"' in line for line in lines[1:])
