"""A real dialogue process to talk to."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 120.0


class DialogueProcess:
    """Starts bot/dialogue/server.py and posts turns to it."""

    def __init__(self, services_url: str, models_dir: Path, state_dir: Path) -> None:
        self.port = free_port()
        self.log = state_dir / "dialogue.log"
        state_dir.mkdir(parents=True, exist_ok=True)
        self._environment = {
            "PATH": os.environ["PATH"],
            "KEFU_DIALOGUE_PORT": str(self.port),
            "KEFU_NLU_URL": services_url,
            "KEFU_ACTIONS_URL": services_url,
            "KEFU_MODELS_DIR": str(models_dir),
            "KEFU_STATE_DIR": str(state_dir),
        }
        self.start()

    def start(self) -> None:
        """Start and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "bot/dialogue/server.py"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_TIMEOUT_S
        while self.get("/readyz")[0] != 200:
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self._process.send_signal(number)
        return self._process.wait(60)

    def signal(self, number: int) -> None:
        """Send a signal and go on."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        return self._process.wait(60)

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """GET a path: (status, body), or (0, {}) when nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as got:
                return got.status, json.load(got)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def post(self, body: bytes, route: str = "turn") -> tuple[int, dict[str, Any]]:
        """POST a raw body to the turn channel."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/webhooks/turn/{route}", data=body
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as got:
                return got.status, json.load(got)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def turn(
        self,
        conversation_id: str,
        text: str,
        message_id: str | None = None,
        *,
        waiting: bool = False,
    ) -> tuple[int, dict[str, Any]]:
        """One turn; `waiting` as the gateway says it of a customer who waits for a person."""
        body = {
            "conversation_id": conversation_id,
            "message_id": message_id or uuid.uuid4().hex,
            "text": text,
            "metadata": {"channel": "test", "waiting": waiting},
        }
        return self.post(json.dumps(body).encode())

    def hand_back(self, conversation_id: str, event_id: str, **fields: Any) -> dict[str, Any]:
        """A hand-back that must succeed."""
        body = {"conversation_id": conversation_id, "event_id": event_id, "outcome": "resolved"}
        status, answer = self.post(json.dumps(body | fields).encode(), "hand-back")
        assert status == 200, (answer, self.log.read_text()[-2000:])
        return answer

    def say(
        self,
        conversation_id: str,
        text: str,
        message_id: str | None = None,
        *,
        waiting: bool = False,
    ) -> dict[str, Any]:
        """One turn that must succeed."""
        status, body = self.turn(conversation_id, text, message_id, waiting=waiting)
        assert status == 200, (body, self.log.read_text()[-2000:])
        return body


def actions_of(body: dict[str, Any]) -> list[str]:
    """The names of a turn's actions, without those of every turn."""
    skipped = ("action_listen", "action_session_start")
    return [
        event["name"]
        for event in body["events"]
        if event["event"] == "action" and event["name"] not in skipped
    ]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
