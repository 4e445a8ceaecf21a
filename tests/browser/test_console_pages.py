"""Every page of the console: axe-core finds nothing serious, and nothing scrolls sideways."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from bot.bench.system import PrivateSystem
from tests.browser.console_page import CONSOLE, NARROW, WIDE, Console, employ, kefu
from tests.browser.learning_rows import fill

LOOKS = {
    "wide": {"viewport": WIDE},
    "narrow": {"viewport": NARROW},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "chinese": {"viewport": NARROW, "locale": "zh-CN"},
}
ROLES = ("agent", "reviewer", "administrator")


@pytest.fixture(scope="module")
def staff(system: PrivateSystem) -> PrivateSystem:
    """A system with somebody of each role, and conversations to look at."""
    for role in ROLES:
        employ(system, f"Page {role}", role)
    kefu(system, "log", "seed", "--turns", "300", "--days", "20", "--into-existing")
    kefu(system, "watch", "--once")
    return system


@pytest.fixture(scope="module")
def learned(staff: PrivateSystem) -> tuple[str, ...]:
    """Something to look at on the pages of learning; the paths of single things."""
    return fill(staff.state_dir)


@pytest.fixture(scope="module", params=LOOKS)
def consoles(
    request: pytest.FixtureRequest,
    staff: PrivateSystem,
    learned: tuple[str, ...],
    browser: Browser,
) -> Iterator[dict[str, Console]]:
    """A console of each role in one look."""
    opened = {
        role: Console(browser, staff.url, **LOOKS[request.param]).sign_in(f"Page {role}")
        for role in ROLES
    }
    yield opened
    for console in opened.values():
        console.close()


@pytest.mark.parametrize(("name", "path", "role"), CONSOLE)
def test_a_page_is_accessible_and_fits(
    consoles: dict[str, Console], axe: str, name: str, path: str, role: str
) -> None:
    console = consoles[role].goto(path)
    console.page.wait_for_load_state("networkidle")
    assert console.violations(axe) == []
    assert console.overflow() <= 0
    assert console.problems == []


def test_the_pages_of_one_thing_learned_are_accessible_and_fit(
    consoles: dict[str, Console], learned: tuple[str, ...], axe: str
) -> None:
    for path in learned:
        console = consoles["administrator"].goto(path)
        console.page.wait_for_load_state("networkidle")
        assert console.violations(axe) == [], path
        assert console.overflow() <= 0, path
        assert console.problems == [], path


def test_a_scrolled_context_of_a_message_can_be_reached_by_keyboard(
    consoles: dict[str, Console], axe: str
) -> None:
    console = consoles["reviewer"].goto("/review")
    # As long as a talkative customer makes it, whatever the queue shows first.
    console.page.evaluate(
        """() => {
          const list = document.querySelector(".review-context");
          list.innerHTML = "<li>a long line of words that goes on and on</li>".repeat(60);
        }"""
    )
    assert console.violations(axe) == []
    assert console.overflow() <= 0
