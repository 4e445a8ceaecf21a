"""A real kefu, a real Chromium, and a page of another site, started once for all browser tests."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from bot.bench.system import PrivateSystem, free_port, private_system
from tests.browser.chat_page import DESKTOP, ChatPage, launch

# Shared by the gateway and the server of the shop that signs its customers.
IDENTITY_SECRET = "a-secret-of-the-shops-own-server-0123456789"
# All that the documentation asks of a site's own policy: the chat's origin in these two.
SITE_POLICY = (
    "default-src 'none'; script-src {gateway}; frame-src {gateway}; base-uri 'none'; "
    "require-trusted-types-for 'script'"
)
SITE_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><title>Another shop</title><script src="{gateway}/kefu.js" async></script>
</head>
<body><main><h1>Another shop</h1></main></body>
</html>
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright's event loop stays in the thread until the session ends."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window; without one the tests skip, unless KEFU_REQUIRE_BROWSER is set."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        if browser is None:
            reason = "there is no Chromium: install one (Debian: apt install chromium)"
            if os.environ.get("KEFU_REQUIRE_BROWSER"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site_port() -> int:
    """The port of another site, which the gateway is told of."""
    return free_port()


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, site_port: int) -> Iterator[PrivateSystem]:
    """All processes, with one other site allowed, and signed-in customers."""
    settings = {
        "KEFU_ALLOWED_ORIGINS": json.dumps([f"http://localhost:{site_port}"]),
        "KEFU_IDENTITY_SECRET": IDENTITY_SECRET,
    }
    with private_system(tmp_path_factory.mktemp("browser"), settings) as running:
        yield running


@pytest.fixture(scope="session")
def site(system: PrivateSystem, site_port: int) -> Iterator[str]:
    """The address of a page on another site, with a policy as strict as one can be."""
    page = SITE_PAGE.format(gateway=system.url).encode()

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", SITE_POLICY.format(gateway=system.url))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", site_port), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{site_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def visit(browser: Browser, system: PrivateSystem) -> Iterator[Callable[..., ChatPage]]:
    """Makes a new visitor on the demo shop; options are those of a browser profile."""
    visitors: list[ChatPage] = []

    def make(**options: Any) -> ChatPage:
        options = {"viewport": DESKTOP, "locale": "en-GB", **options}
        visitors.append(ChatPage(browser.new_context(**options), system.url))
        return visitors[-1]

    yield make
    for visitor in visitors:
        problems, dialogs = visitor.problems, visitor.dialogs
        visitor.close()
        assert problems == []
        assert dialogs == []


@pytest.fixture
def chat(visit: Callable[..., ChatPage]) -> ChatPage:
    """A new visitor who has opened the chat in the demo shop."""
    return visit().goto().open()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which finds violations of accessibility rules."""
    module = Path("bot/web/node_modules/axe-core/axe.min.js")
    return (Path(__file__).parents[2] / module).read_text()
