"""The console as an agent meets it in a browser."""

import json
import os
import subprocess
import sys
import time
from typing import Any

import requests
from playwright.sync_api import Browser, Page

from bot.bench.system import PrivateSystem

WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 400, "height": 800}
PASSWORD = "seven candles on a shelf"

# Every page of the console that opens without more ado: (picture's name, path, role that sees it).
# Pages of one conversation or turn are added by their own tests.
CONSOLE: tuple[tuple[str, str, str], ...] = (
    ("password", "/password", "agent"),
    ("inbox", "/inbox", "agent"),
    ("inbox-filtered", "/inbox?emotion=angry&channel=api", "administrator"),
    ("inbox-search", "/inbox?q=order", "reviewer"),
    ("canned", "/canned", "agent"),
    ("people", "/people", "administrator"),
    ("audit", "/audit", "administrator"),
    ("answers", "/answers", "reviewer"),
    ("answer", "/answers/delivery-001", "reviewer"),
    ("answers-new", "/answers/new", "reviewer"),
    ("answers-import", "/answers/import", "reviewer"),
    ("review", "/review", "reviewer"),
    ("review-answers", "/review/answers", "reviewer"),
    ("review-answers-new", "/review/answers/new", "reviewer"),
    ("review-agreement", "/review/agreement", "reviewer"),
    ("review-history", "/review/history", "reviewer"),
    ("models", "/models", "administrator"),
    ("learning", "/learning", "administrator"),
    ("learning-held-back", "/learning/held-back", "reviewer"),
    ("learning-unknowns", "/learning/unknowns", "reviewer"),
    ("channels", "/channels", "administrator"),
    ("privacy", "/privacy", "administrator"),
    ("privacy-retention", "/privacy/retention", "administrator"),
    ("privacy-exports", "/privacy/exports", "administrator"),
    ("voice", "/voice", "reviewer"),
    ("alerts", "/alerts", "reviewer"),
)


def kefu(system: PrivateSystem, *arguments: str, stdin: str = "") -> str:
    """Run a `kefu` command on a running system's state; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", *arguments],
        env={**os.environ, "KEFU_STATE_DIR": str(system.state_dir)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def employ(system: PrivateSystem, name: str, role: str) -> str:
    """Give somebody access with PASSWORD; the token of the agents' API."""
    added = json.loads(kefu(system, "agent", "add", name, "--role", role, "--json"))
    kefu(system, "agent", "password", name, stdin=PASSWORD + "\n")
    return str(added["token"])


def ask(system: PrivateSystem, question: str) -> str:
    """What a new customer is told by the real bot."""
    answer = requests.post(
        f"{system.url}/webhooks/rest/webhook",
        json={"sender": f"customer-{time.time_ns()}", "message": question},
        timeout=60,
    )
    assert answer.status_code == 200
    return " ".join(part.get("text") or "" for part in answer.json())


class Console:
    """One browser profile at the console, and what it saw that should not be."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        options = {"viewport": WIDE, "locale": "en-GB", "reduced_motion": "reduce"} | options
        self.url = f"{url}/console"
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._listen)

    def sign_in(self, name: str, password: str = PASSWORD) -> "Console":
        """Fill in the form of the first page."""
        self.page.goto(f"{self.url}/sign-in")
        self.page.locator("#name").fill(name)
        self.page.locator("#password").fill(password)
        self.page.locator("main button").click()
        return self

    def goto(self, path: str) -> "Console":
        """Open a path below /console."""
        response = self.page.goto(self.url + path)
        assert response is not None
        assert response.ok, f"{path}: {response.status}"
        return self

    def violations(self, axe: str) -> list[str]:
        """What axe-core calls serious or critical on the page as it is."""
        self.page.evaluate(axe)
        result = self.page.evaluate("axe.run({ resultTypes: ['violations'] })")
        return [
            f"{violation['id']}: {[node['target'] for node in violation['nodes']]}"
            for violation in result["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(
            self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )

    def close(self) -> None:
        """Close the profile; nothing may have gone wrong in it."""
        self.context.close()
        assert self.problems == []

    def _listen(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.problems.append(message.text)
