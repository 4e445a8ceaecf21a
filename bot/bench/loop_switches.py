"""Promotions and roll-backs of a running system under load: every answer, and how long it took.

With whole loops the version that is promoted is each time one that the loop has just made, beside
the running system: from a few corrected turns in its log to the proof.
"""

import asyncio
import json
import random
import shutil
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bot.bench.learning_shop import ShopBroken, add_reviewers, command, correct_as
from bot.bench.report import percentile, progress
from bot.bench.system import PrivateSystem, private_environment, private_system
from bot.bench.texts import SMALL_TALK, examples_of
from bot.errors import KefuError
from bot.log.database import open_engine
from bot.settings import Settings

ASKERS = 4
PAUSE_S = 0.1
SWITCH_S = 120.0
CORRECTED = 20  # turns before each whole loop
AFTER_S = 2.0  # of load on the new version before the next switch
TOKEN = "bench-admin-token"  # noqa: S105  of a system that lives for the benchmark alone


class NotSwitched(KefuError):
    """No answer by the wanted version came in time."""

    def __init__(self, version: str) -> None:
        super().__init__(f"no answer by {version} within {SWITCH_S:g} s; see the system's log")


@dataclass(slots=True, kw_only=True)
class Answers:
    """What came back, and when."""

    by_version: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    # The version of the newest answer, and when its question was asked.
    newest: tuple[str, float] = ("", 0.0)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def first_by(self, version: str, since: float) -> float:
        """When the first answer by a version came to a question of after a moment."""
        async with asyncio.timeout(SWITCH_S):
            while not (self.newest[0] == version and self.newest[1] >= since):
                self.changed.clear()
                await self.changed.wait()
        return time.monotonic()


def measure_switches(folder: Path, switches: int, *, whole: bool = False) -> dict[str, Any]:
    """So many promotions, each rolled back, while customers ask without a pause.

    `whole`: before each a whole run of the loop, under the same load.
    """
    settings = Settings()
    models = folder / "models"
    champion, challenger = two_versions(settings.models_dir, models)
    texts = [
        text
        for name, found in examples_of(settings.data_dir / "test" / "nlu.yml").items()
        if name in SMALL_TALK
        for text in found
    ]
    state = folder / "state"
    wanted = {
        "KEFU_MODELS_DIR": str(models),
        "KEFU_ADMIN_TOKEN": TOKEN,
        "KEFU_DATABASE_URL": f"sqlite:///{state / 'kefu.db'}",
    }
    environment = private_environment(state, wanted)
    ports = {name: value for name, value in environment.items() if name.endswith("_PORT")}
    with private_system(state, wanted | ports) as system:
        run = Switching(system, environment | ports, texts)
        made = partial(run.learned, settings.data_dir) if whole else None
        return asyncio.run(run.all(champion, challenger, switches, made))


def two_versions(source: Path, target: Path) -> tuple[str, str]:
    """Copy the models with the serving version alone, and that once more under another name."""
    champion = (source / "nlu" / "current").read_text().strip()
    challenger = f"{champion[:50]}-b"
    shutil.copytree(source / "dialogue", target / "dialogue")
    for name in (champion, challenger):
        shutil.copytree(source / "nlu" / champion, target / "nlu" / name)
    manifest = target / "nlu" / challenger / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"version": challenger, "parent": champion}))
    (target / "nlu" / "current").write_text(champion)
    return champion, challenger


class Switching:
    """A system, who asks it, and what is switched meanwhile."""

    def __init__(
        self, system: PrivateSystem, environment: dict[str, str], texts: list[str]
    ) -> None:
        self._system = system
        self._environment = environment
        self._texts = texts
        self._answers = Answers()
        self._done = False

    async def all(
        self,
        champion: str,
        challenger: str,
        switches: int,
        made: Callable[[int], Awaitable[str]] | None = None,
    ) -> dict[str, Any]:
        """Switch forth and back so often, to what is made each time; the figures."""
        promotions, roll_backs, loops = [], [], []
        async with aiohttp.ClientSession() as session:
            askers = [asyncio.create_task(self._ask(session, n)) for n in range(ASKERS)]
            try:
                await self._first_by(champion, time.monotonic())
                for number in range(switches):
                    progress(f"promotion and roll-back {number + 1} of {switches}")
                    if made is not None:
                        started = time.monotonic()
                        challenger = await made(number)
                        loops.append(time.monotonic() - started)
                    promotions.append(await self._switch(challenger, "activate", challenger))
                    roll_backs.append(await self._switch(champion, "rollback"))
            finally:
                self._done = True
                await asyncio.gather(*askers)
        found = self._answers
        return {
            "promotions": len(promotions),
            "roll_backs": len(roll_backs),
            "whole_loops": len(loops),
            "loop_s": _spread(loops),
            "answers": found.by_version.total(),
            "answers_by_version": dict(found.by_version),
            "failed": len(found.failed),
            "failures": found.failed[:5],
            "promotion_s": _spread(promotions),
            "roll_back_s": _spread(roll_backs),
            "answer_s": _spread(found.latencies_s),
        }

    async def learned(self, data_dir: Path, number: int) -> str:
        """The version that the loop makes of a few more corrected turns. Raises ShopBroken."""
        examples = examples_of(data_dir / "test" / "nlu.yml")
        said = [(f"{texts[0]}, no. {number}", name) for name, texts in examples.items()]
        await asyncio.to_thread(self._correct, said[:CORRECTED], number)
        process = await asyncio.create_subprocess_exec(
            *command("learn", "--once", "--json"),
            env=self._environment | {"KEFU_LEARN_RELEASE": "person"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        version = json.loads(out.decode().splitlines()[-1])["version"] if out else None
        if process.returncode != 0 or version is None:
            raise ShopBroken("learn --once", err.decode() or out.decode())
        return str(version)

    def _correct(self, said: Sequence[tuple[str, str]], number: int) -> None:
        now = datetime.now(UTC)
        engine = open_engine(self._environment["KEFU_DATABASE_URL"], writer=True)
        with engine.begin() as connection:
            if number == 0:
                add_reviewers(connection, now=now)
            correct_as(connection, said=said, number=number, now=now)
        engine.dispose()

    async def _switch(self, version: str, *what: str) -> float:
        """Seconds from the command to the first answer that the version gave to a new question."""
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command("models", *what),
            env=self._environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        ended = await self._first_by(version, started)
        _, said = await process.communicate()
        if process.returncode != 0:
            raise subprocess.CalledProcessError(
                process.returncode or 1, ["models", *what], stderr=said
            )
        await asyncio.sleep(AFTER_S)
        return ended - started

    async def _first_by(self, version: str, since: float) -> float:
        try:
            return await self._answers.first_by(version, since)
        except TimeoutError:
            raise NotSwitched(version) from None

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        draw = random.Random(number)
        while not self._done:
            started = time.monotonic()
            text = draw.choice(self._texts)
            try:
                answer = await self._answer(session, text)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                self._answers.failed.append(f"{type(error).__name__}: {error}"[:200])
                await asyncio.sleep(PAUSE_S)
                continue
            self._answers.latencies_s.append(time.monotonic() - started)
            version, wrong = str(answer["detail"]["model_version"]), answer["detail"]["error"]
            if not answer["replies"] or wrong:
                self._answers.failed.append(f"no answer: {wrong}")
            self._answers.by_version[version] += 1
            self._answers.newest = (version, started)
            self._answers.changed.set()
            await asyncio.sleep(PAUSE_S)

    async def _answer(self, session: aiohttp.ClientSession, text: str) -> dict[str, Any]:
        """A question in a conversation of its own, and all that is known of its answer."""
        timeout = aiohttp.ClientTimeout(total=60)
        url = f"{self._system.url}/api/v1/conversations"
        async with session.post(url, json={}, timeout=timeout) as response:
            response.raise_for_status()
            opened = await response.json()
        async with session.post(
            f"{url}/{opened['conversation_id']}/messages",
            params={"wait": "true", "detail": "true"},
            headers={"Authorization": f"Bearer {opened['token']}"},
            json={"id": uuid.uuid4().hex, "text": text},
            timeout=timeout,
        ) as response:
            response.raise_for_status()
            found = await response.json()
        if not isinstance(found, dict):
            raise ValueError("the answer is no object")
        return found


def _spread(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {
        "median": round(percentile(seconds, 0.5), 3),
        "worst": round(max(seconds), 3),
    }
