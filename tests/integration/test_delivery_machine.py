"""Whatever customers, agents, the dialogue and the process do: nothing lost, doubled or swapped.

A longer run than the test's:
KEFU_MACHINE_EXAMPLES=200 python -m pytest tests/integration/test_delivery_machine.py
"""

import asyncio
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from bot.app import GATEWAY, Gateway, Overrides, build_app
from bot.errors import TurnUnavailable
from bot.log import database, reader
from bot.log.records import Reply
from bot.settings import Settings
from bot.turner import Services
from bot.turns import TurnRequest
from bot.world import World, sortable_id

T = TypeVar("T")

EXAMPLES = int(os.environ.get("KEFU_MACHINE_EXAMPLES", "20"))
STEPS = 25
STEP_TIMEOUT_S = 30
# Turns of the loop before a kill.
ticks = st.integers(0, 40)
which = st.integers(0, 2)


@dataclass
class Dialogue:
    """Answers each message id once for good; hangs while it is down."""

    arrivals: dict[str, list[str]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    life: int = 0
    # So many answers are committed and then lost on the way.
    losing: int = 0

    async def turn(self, request: TurnRequest) -> dict[str, Any]:
        life = self.life
        self.arrivals.setdefault(request.conversation_id, []).append(request.text)
        await self.up.wait()
        if life != self.life:
            raise TurnUnavailable("restarted")
        answer = {"replies": [{"text": f"echo {request.text}"}], "parse": {}}
        answer = self.answers.setdefault(request.message_id, answer)
        if self.losing:
            self.losing -= 1
            raise TurnUnavailable("the answer was lost")
        return answer

    async def ready(self) -> str | None:
        return None

    async def parse(self, text: str) -> dict[str, Any]:
        return {}

    async def explain(self, text: str) -> dict[str, Any]:
        return {}


@dataclass
class Said:
    """A customer's message that was acknowledged."""

    text: str
    seq: int
    # Whether it is answered or only listened to; both while that changed under way.
    ends: set[str]
    settled: bool = False
    replies: list[dict[str, Any]] | None = None


@dataclass
class Talk:
    """A conversation as its customer knows it."""

    id: str
    token: str
    status: str = "bot"
    said: dict[str, Said] = field(default_factory=dict)
    agent_said: list[str] = field(default_factory=list)
    read: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = f"/api/v1/conversations/{self.id}/messages"
        self.headers = {"Authorization": f"Bearer {self.token}"}


class DeliveryMachine(RuleBasedStateMachine):
    """Rules are what may happen; what must hold is in `_check`."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=self.template.parent))
        shutil.copy(self.template, self.folder / "kefu.db")
        self.runner = asyncio.Runner()
        self.talks: list[Talk] = []
        self.count = 0
        self.client: TestClient[web.Request, web.Application] | None = None

    def run(self, step: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                return await step

        return self.runner.run(bounded())

    @property
    def gateway(self) -> Gateway:
        assert self.client is not None
        return self.client.server.app[GATEWAY]  # type: ignore[attr-defined]

    @initialize()
    def open(self) -> None:
        self.run(self._open())

    @rule(which=which, wait=st.booleans())
    def send(self, which: int, wait: bool) -> None:
        self.run(self._send(self.talks[which], [self._new_message()], wait=wait))

    @rule(which=which, count=st.integers(2, 6))
    def send_at_once(self, which: int, count: int) -> None:
        new = [self._new_message() for _ in range(count)]
        self.run(self._send(self.talks[which], new))

    @rule(which=which, pick=st.integers(0, 100), wait=st.booleans(), changed=st.booleans())
    def repeat(self, which: int, pick: int, wait: bool, changed: bool) -> None:
        talk = self.talks[which]
        if not talk.said:
            return
        id_ = list(talk.said)[pick % len(talk.said)]
        if changed:
            answer = self.run(self._post(talk, id_, "something else", wait=False))
            assert answer is not None
            assert answer[0] == 422
        else:
            self.run(self._send(talk, [(id_, talk.said[id_].text)], wait=wait))

    @rule(which=which, count=st.integers(0, 5), ticks=ticks)
    def kill(self, which: int, count: int, ticks: int) -> None:
        new = [self._new_message() for _ in range(count)]
        self.run(self._kill(self.talks[which], new, ticks))

    @rule()
    def drain_and_start(self) -> None:
        if self.dialogue.up.is_set():
            assert self.run(self.gateway.drain()) == 0
        self.run(self._start())

    @rule()
    def dialogue_goes_down(self) -> None:
        self.dialogue.up.clear()

    @rule(losing=st.integers(0, 3))
    def dialogue_restarts(self, losing: int) -> None:
        self.dialogue.life += 1
        self.dialogue.losing = losing
        self.dialogue.up.set()

    @rule(which=which, status=st.sampled_from(["agent", "bot", "closed", "waiting"]))
    def hand(self, which: int, status: str) -> None:
        talk = self.talks[which]
        for said in talk.said.values():
            if not said.settled:
                said.ends = {"answered", "silent"}
        assert self.run(self.gateway.journal.set_status(talk.id, status))
        talk.status = status

    @rule(which=which, again=st.booleans())
    def agent_says(self, which: int, again: bool) -> None:
        talk, id_ = self.talks[which], sortable_id()
        talk.agent_said.append(id_)
        words = [Reply(id=id_, text="from an agent", author="agent")]
        for _ in range(1 + again):
            self.run(self.gateway.journal.say(talk.id, words, repeatable=True))

    @rule(which=which, limit=st.integers(1, 8))
    def read(self, which: int, limit: int) -> None:
        self.run(self._read(self.talks[which], limit))

    @rule()
    def settle(self) -> None:
        self.run(self._settle())

    def teardown(self) -> None:
        try:
            if self.client:
                self.run(self._settle())
                self.run(self._check())
                self.run(self.client.close())
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)

    async def _open(self) -> None:
        self.dialogue = Dialogue()
        self.dialogue.up.set()
        await self._start()
        assert self.client is not None
        for _ in range(3):
            async with self.client.post("/api/v1/conversations") as response:
                opened = await response.json()
            self.talks.append(Talk(opened["conversation_id"], opened["token"]))

    async def _start(self) -> None:
        if self.client is not None:
            await self.client.close()

        async def no_rest(delay_s: float) -> None:
            await asyncio.sleep(0)

        app = await build_app(
            Settings(
                _env_file=None,
                state_dir=self.folder,
                database_url=f"sqlite:///{self.folder / 'kefu.db'}",
                token_secret="a secret of the tests",
                wait_timeout_s=STEP_TIMEOUT_S,
                drain_timeout_s=STEP_TIMEOUT_S,
            ),
            overrides=Overrides(
                services=Services(dialogue=self.dialogue, understanding=self.dialogue),
                world=replace(World(), sleep=no_rest),
            ),
        )
        self.client = TestClient(TestServer(app))
        await self.client.start_server()

    async def _kill(self, talk: Talk, new: list[tuple[str, str]], ticks: int) -> None:
        """Cut the gateway off in the middle of taking messages in, and start another."""
        sending = [
            asyncio.create_task(self._post(talk, id_, text, wait=False)) for id_, text in new
        ]
        for _ in range(ticks):
            await asyncio.sleep(0)
        await self.gateway.delivery.close()
        await self._start()
        unsure = []
        for (id_, text), task in zip(new, sending, strict=True):
            answer = await task
            if answer is None or answer[0] >= 429:
                unsure.append((id_, text))
            else:
                self._note(talk, id_, text, answer)
        # A good client sends again what it has heard nothing of.
        await self._send(talk, unsure)

    async def _post(
        self, talk: Talk, id_: str, text: str, *, wait: bool
    ) -> tuple[int, dict[str, Any]] | None:
        client = self.client
        assert client is not None
        try:
            async with client.post(
                talk.url + ("?wait=true" if wait else ""),
                json={"id": id_, "text": text},
                headers=talk.headers,
            ) as response:
                return response.status, await response.json()
        except (aiohttp.ClientError, ConnectionError):
            return None
        except RuntimeError:
            # Not begun when the gateway went, and its client with it.
            assert client.session.closed
            return None

    async def _send(
        self, talk: Talk, messages: list[tuple[str, str]], *, wait: bool = False
    ) -> None:
        wait = wait and self.dialogue.up.is_set()
        answers = await asyncio.gather(
            *(self._post(talk, id_, text, wait=wait) for id_, text in messages)
        )
        for (id_, text), answer in zip(messages, answers, strict=True):
            assert answer is not None
            assert answer[0] in ((200,) if wait else (202,)), answer
            self._note(talk, id_, text, answer)

    def _note(self, talk: Talk, id_: str, text: str, answer: tuple[int, dict[str, Any]]) -> None:
        """Compare an acknowledgement with what was heard of the message before."""
        status, body = answer
        if id_ not in talk.said:
            if talk.status == "closed":
                talk.status = "bot"
            ends = {"silent" if talk.status == "agent" else "answered"}
            talk.said[id_] = Said(text, body["message"]["seq"], ends)
        said = talk.said[id_]
        assert body["message"]["seq"] == said.seq
        if status == 200:
            assert body["message"]["state"] == "answered"
            assert said.replies is None or said.replies == body["replies"]
            said.settled, said.replies = True, body["replies"]
            said.ends &= {"answered" if body["replies"] else "silent"}
            assert said.ends

    async def _read(self, talk: Talk, limit: int) -> int:
        """Catch up by a page, as a client does that was away."""
        assert self.client is not None
        after = talk.read[-1]["seq"] if talk.read else 0
        async with self.client.get(
            f"{talk.url}?after={after}&limit={limit}", headers=talk.headers
        ) as response:
            page = await response.json()
        seqs = [one["seq"] for one in page["messages"]]
        assert seqs == list(range(after + 1, after + 1 + len(seqs)))
        talk.read += page["messages"]
        if len(seqs) < limit:
            assert page["status"] == talk.status
        return len(seqs)

    async def _settle(self) -> None:
        """Bring everything up and wait until all that was acknowledged is done."""
        self.dialogue.up.set()
        while await self.gateway.journal.unanswered():
            await asyncio.sleep(0)
        for talk in self.talks:
            for said in talk.said.values():
                said.settled = True

    async def _check(self) -> None:
        for talk in self.talks:
            while await self._read(talk, 50):
                pass
            self._check_what_was_read(talk)
            await self._check_the_log(talk)
            # Each id once or more, the next only after the one before was done.
            heard = [text for text, _ in groupby(self.dialogue.arrivals.get(talk.id, ()))]
            texts = [one.text for one in sorted(talk.said.values(), key=lambda one: one.seq)]
            assert heard == [text for text in texts if text in heard]
            for id_ in talk.said:
                await self._send(talk, [(id_, talk.said[id_].text)], wait=True)

    def _check_what_was_read(self, talk: Talk) -> None:
        # The system says what it wants to those who wait.
        by_author: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in talk.read:
            by_author[one["author"]].append(one)
        assert {one["seq"]: one["text"] for one in by_author["customer"]} == {
            said.seq: said.text for said in talk.said.values()
        }
        assert len(by_author["customer"]) == len(talk.said)
        assert [one["id"] for one in by_author["agent"]] == talk.agent_said
        echoed = [one["text"].removeprefix("echo ") for one in by_author["bot"]]
        asked = [one["text"] for one in by_author["customer"]]
        assert echoed == [text for text in asked if text in echoed]

    async def _check_the_log(self, talk: Talk) -> None:
        turns = await self.gateway.journal.read(
            lambda connection: list(reader.turns(connection, conversation_id=talk.id))
        )
        said = {one.text: one for one in talk.said.values()}
        assert sorted(turn["text"] for turn in turns) == sorted(said)
        for turn in turns:
            assert turn["error"] is None
            answers = [reply["text"] for reply in turn["replies"]]
            assert answers in ([], [f"echo {turn['text']}"])
            assert ("answered" if answers else "silent") in said[turn["text"]].ends

    def _new_message(self) -> tuple[str, str]:
        self.count += 1
        return f"m{self.count}", f"text {self.count}"


def test_nothing_is_lost_doubled_or_swapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "template.db"
    database.upgrade(f"sqlite:///{template}")
    # Each start would look for migrations: a third of a second.
    monkeypatch.setattr(database, "upgrade", lambda url: None)
    monkeypatch.setattr(DeliveryMachine, "template", template, raising=False)
    run_state_machine_as_test(
        DeliveryMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            # Making a failure small takes minutes: only for who looks for one.
            phases=[Phase.generate, Phase.shrink] if EXAMPLES > 20 else [Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
