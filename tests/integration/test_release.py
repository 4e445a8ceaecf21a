"""Releases on both databases: each change on record, one trial at a time, watched to its end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from click.testing import CliRunner
from sqlalchemy import Connection, insert

from bot.errors import RequestError, StorageError
from bot.learning.release.live_guard import ReleaseTerms
from bot.learning.release.opened import open_releases
from bot.learning.release.releases import Releases
from bot.learning.release.sides import trial_of
from bot.learning.versions import Versions
from bot.log import promotions, tables
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World
from nlu.bundle import BundleStore
from nlu.server import build_app
from nlu.settings import NluSettings
from nlu.trial import Trial
from tests.integration.review_log import START, add_conversation, add_turn

TERMS = ReleaseTerms(canary_h=1.0, canary_conversations=20, share=0.5)


@dataclass
class FakeServing:
    """The understanding service in memory; `down` refuses whatever it is told."""

    versions: list[str] = field(default_factory=lambda: ["v1", "v2", "v3"])
    current: str | None = "v1"
    before: str | None = None
    on_trial: Trial | None = None
    down: bool = False

    def serving(self) -> str | None:
        return self.current

    def known(self) -> list[str]:
        return self.versions

    def trial(self) -> Trial | None:
        return self.on_trial

    async def promote(self, version: str) -> None:
        self._hear()
        self.before = self.current
        self.current, self.on_trial = version, None

    async def roll_back(self) -> str:
        if self.before is None:
            raise RequestError(409, "version", "there is no earlier version", "promote one")
        self.current, self.on_trial, self.before = self.before, None, None
        return str(self.current)

    async def try_out(self, trial: Trial) -> None:
        self._hear()
        self.on_trial = trial

    async def end_trial(self) -> None:
        self.on_trial = None

    def _hear(self) -> None:
        if self.down:
            raise RequestError(503, "version", "the service did not answer", "try again")


@dataclass
class Site:
    """Releases over a log whose clock the test moves."""

    releases: Releases
    serving: FakeServing
    journal: Journal
    now: datetime = START

    async def history(self) -> list[dict[str, Any]]:
        return await self.releases.history()

    async def talk(self, many: int, **changes: Any) -> None:
        """So many conversations, a minute from now; `tried` changes those of the open trial."""
        trial = await self.releases.open_trial()
        await self.journal.write(
            partial(_talk, row=trial, many=many, at=self.now + timedelta(minutes=1), **changes)
        )
        self.now += timedelta(minutes=2)


def _talk(
    connection: Connection,
    *,
    row: dict[str, Any] | None,
    many: int,
    at: datetime,
    tried: dict[str, Any] | None = None,
    handed: bool = False,
    stars: int | None = None,
) -> bool:
    """`tried`, `handed` and `stars` are what happens on the side of the trial.

    Each side gets its share, no more and no less: with few conversations chance decided the test.
    """
    trial = None if row is None else trial_of(row)
    of_trial = 0 if trial is None else round(many * trial.share)
    left = {True: of_trial, False: many - of_trial}
    for number in count():
        if not any(left.values()):
            break
        id_ = f"c{at:%d%H%M%S}-{number}"
        falls = trial is not None and trial.covers(id_)
        if not left[falls]:
            continue
        left[falls] -= 1
        add_conversation(connection, id_)
        changes: dict[str, Any] = {
            "model_version": trial.version if trial and falls else "v1",
            "timings": {"nlu": 5.0},
            "created_at": at,
        }
        changes |= (tried or {}) if falls else {}
        add_turn(connection, f"t-{id_}", "where is it", conversation_id=id_, **changes)
        if falls and handed:
            connection.execute(
                insert(tables.handoff),
                {"id": id_, "conversation_id": id_, "reason": "repeated_failure", "at": at},
            )
        if falls and stars is not None:
            connection.execute(
                insert(tables.feedback),
                {
                    "id": f"r-{id_}",
                    "conversation_id": id_,
                    "kind": "rating",
                    "score": stars,
                    "created_at": at,
                },
            )
    return True


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Journal]:
    upgrade(url)
    journal = Journal(
        write_engine=open_engine(url, writer=True),
        read_engine=open_engine(url),
        world=World(),
    )
    journal.start()
    try:
        yield journal
    finally:
        await journal.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'log.db'}"


@pytest.fixture
async def journal(sqlite_url: str) -> AsyncIterator[Journal]:
    async with opened(sqlite_url) as journal:
        yield journal


@pytest.fixture
async def site(journal: Journal) -> Site:
    return site_on(journal)


@pytest.fixture
async def either(database_url: str) -> AsyncIterator[Site]:
    """A site once on each kind of database."""
    async with opened(database_url) as journal:
        yield site_on(journal)


def site_on(journal: Journal) -> Site:
    serving = FakeServing()
    world = World()
    site = Site(Releases(journal, serving, world, TERMS), serving, journal)
    site.releases._world = replace(world, now=lambda: site.now)
    return site


async def test_every_promotion_leaves_a_row(either: Site) -> None:
    await either.releases.promote("v2", actor="Ada", run_id="r1", reason="better")
    either.now += timedelta(hours=1)
    await either.releases.promote("v3", actor="Bo")
    newest, first = await either.history()
    for row, version, previous, actor in ((newest, "v3", "v2", "Bo"), (first, "v2", "v1", "Ada")):
        assert (row["kind"], row["state"]) == ("full", "promoted")
        assert (row["version"], row["previous"], row["actor"]) == (version, previous, actor)
        assert row["finished_at"] is not None
    assert (first["run_id"], first["reason"]) == ("r1", "better")


async def test_a_promotion_that_fails_says_so(site: Site) -> None:
    site.serving.down = True
    with pytest.raises(RequestError):
        await site.releases.promote("v2", actor="Ada")
    (row,) = await site.history()
    assert row["state"] == "ended"
    assert row["reason"].startswith("not promoted: version: the service did not answer")


async def test_one_trial_at_a_time(either: Site) -> None:
    await either.releases.start_canary("v2", actor="Ada")
    assert either.serving.on_trial is not None
    assert (either.serving.on_trial.version, either.serving.on_trial.share) == ("v2", 0.5)
    for start in (either.releases.start_canary, either.releases.start_ab):
        with pytest.raises(RequestError, match="a trial of v2 is open"):
            await start("v3", actor="Bo")
    assert len(await either.history()) == 1


@pytest.mark.parametrize(
    ("version", "share", "status"), [("v1", 0.1, 409), ("v9", 0.1, 404), ("v2", 1.0, 422)]
)
async def test_a_trial_that_cannot_be_leaves_no_row(
    site: Site, version: str, share: float, status: int
) -> None:
    with pytest.raises(RequestError) as refused:
        await site.releases.start_canary(version, share=share, actor="Ada")
    assert refused.value.status == status
    assert await site.history() == []


async def test_a_trial_the_service_refuses_is_over(site: Site) -> None:
    site.serving.down = True
    with pytest.raises(RequestError):
        await site.releases.start_canary("v2", actor="Ada")
    assert await site.releases.open_trial() is None
    site.serving.down = False
    await site.releases.start_canary("v2", actor="Ada")


FELT = {"emotion": "angry"}
HARM: list[dict[str, Any]] = [
    {"tried": {"intent": "nlu_fallback"}},
    {"tried": FELT},
    {"tried": {"error": "dialogue: down", "model_version": None, "intent": None}},
    {"tried": {"timings": {"nlu": 900.0}}},
    {"handed": True},
    {"stars": 1},
]


async def test_a_canary_that_does_harm_is_rolled_back(either: Site) -> None:
    for harm in HARM:
        await either.releases.start_canary("v2", actor="loop", run_id="r1")
        await either.talk(30, **harm)
        either.releases._rest_until = 0.0
        assert await either.releases.look() == "rolled_back", harm
        assert (either.serving.current, either.serving.on_trial) == ("v1", None)
        row = (await either.history())[0]
        assert (row["state"], row["slot"]) == ("rolled_back", None)
        assert row["reason"].startswith("more ")
        assert row["report"]["evidence_together"] >= 20
        assert await either.releases.look() is None
    assert len({row["reason"].split(":")[0] for row in await either.history()}) == len(HARM)


async def test_a_canary_that_is_no_worse_is_promoted_when_it_is_due(either: Site) -> None:
    await either.releases.start_canary("v2", actor="loop")
    await either.talk(60)
    assert await either.releases.look() == "open"
    trial = await either.releases.open_trial()
    assert trial is not None
    assert trial["report"]["standing"].startswith("nothing is worse so far; ")
    either.now += timedelta(hours=1)
    either.releases._rest_until = 0.0
    assert await either.releases.look() == "promoted"
    assert (either.serving.current, either.serving.on_trial) == ("v2", None)
    (row,) = await either.history()
    assert (row["state"], row["previous"]) == ("promoted", "v1")


async def test_a_canary_that_nobody_met_is_not_promoted(site: Site) -> None:
    await site.releases.start_canary("v2", actor="loop")
    # The service never loaded it: the other version answered all.
    await site.talk(60, tried={"model_version": "v1"})
    site.now += timedelta(hours=2)
    assert await site.releases.look() == "open"
    assert site.serving.current == "v1"


async def test_a_service_that_is_down_is_asked_to_promote_again(site: Site) -> None:
    await site.releases.start_canary("v2", actor="loop")
    await site.talk(60)
    site.now += timedelta(hours=2)
    site.serving.down = True
    assert await site.releases.look() == "open"
    site.serving.down = False
    site.releases._rest_until = 0.0
    assert await site.releases.look() == "promoted"


async def test_a_look_that_took_long_is_followed_by_rest(site: Site) -> None:
    await site.releases.start_canary("v2", actor="loop")
    await site.talk(30, tried=FELT)
    site.releases._rest_until = time.monotonic() + 60
    assert await site.releases.look() == "open"


async def test_rolling_back_ends_the_trial_and_serves_the_version_before(either: Site) -> None:
    await either.releases.promote("v3", actor="Ada")  # from v1, not from v2
    either.now += timedelta(hours=1)
    await either.releases.start_canary("v2", actor="loop")
    assert await either.releases.roll_back(actor="Bo", reason="complaints") == "v1"
    assert (either.serving.current, either.serving.on_trial) == ("v1", None)
    by_kind = {row["kind"]: row for row in await either.history()}
    assert (by_kind["canary"]["state"], by_kind["canary"]["reason"]) == (
        "rolled_back",
        "rolled back by Bo: complaints",
    )
    back = by_kind["rollback"]
    assert (back["version"], back["previous"], back["state"]) == ("v1", "v3", "promoted")


async def test_there_may_be_nothing_to_roll_back_to(site: Site) -> None:
    await site.releases.start_canary("v2", actor="loop")
    with pytest.raises(RequestError, match="no earlier version"):
        await site.releases.roll_back(actor="Bo")
    assert await site.releases.open_trial() is not None


async def test_rolling_back_does_not_need_the_log(site: Site, monkeypatch: Any) -> None:
    await site.releases.promote("v2", actor="Ada")

    async def fails(query: Any) -> Any:
        raise StorageError("no disk")

    monkeypatch.setattr(site.journal, "read", fails)
    with pytest.raises(StorageError):
        await site.releases.roll_back(actor="Bo")
    assert site.serving.current == "v1"


async def test_an_ab_compares_and_keeps_whom_one_says(either: Site) -> None:
    await either.releases.start_ab("v2", actor="Ada")
    await either.talk(120, tried={"intent": "nlu_fallback"})
    assert await either.releases.look() == "open"  # a person decides
    trial = await either.releases.open_trial()
    assert trial is not None
    compared = trial["report"]["comparison"]
    assert (compared["a"], compared["b"]) == ("v1", "v2")
    fallback = next(one for one in compared["figures"] if one["metric"] == "fallback")
    assert (fallback["a"], fallback["b"], fallback["better"]) == (0.0, 1.0, "a")
    assert compared["conclusion"].startswith("v1 is better in conversations with a message")
    assert await either.releases.end(actor="Ada", keep="a") == "v1"
    assert (either.serving.current, either.serving.on_trial) == ("v1", None)
    await either.releases.start_ab("v2", actor="Ada")
    assert await either.releases.end(actor="Ada", keep="b") == "v2"
    assert either.serving.current == "v2"
    assert [row["state"] for row in await either.history()] == ["promoted", "ended"]


async def test_promoting_another_version_ends_the_trial(site: Site) -> None:
    await site.releases.start_canary("v2", actor="loop")
    await site.releases.promote("v3", actor="Ada")
    by_version = {row["version"]: row for row in await site.history()}
    assert (by_version["v2"]["state"], by_version["v3"]["state"]) == ("ended", "promoted")


async def test_promoting_the_trial_is_its_end(site: Site) -> None:
    await site.releases.start_canary("v2", actor="loop")
    await site.releases.promote("v2", actor="Ada")
    (row,) = await site.history()
    assert (row["kind"], row["state"], row["reason"]) == ("canary", "promoted", "promoted by Ada")


async def test_what_was_changed_by_hand_is_found(site: Site) -> None:
    await site.releases.promote("v1", actor="Ada")
    site.now += timedelta(hours=1)
    await site.releases.start_canary("v2", actor="loop")
    site.serving.current, site.serving.on_trial = "v3", None
    assert await site.releases.look() == "ended"
    await site.releases.look()
    found = {row["version"]: row for row in await site.history()}
    assert found["v2"]["reason"] == "v3 serves now, which it was not up against"
    assert found["v3"]["previous"] == "v1"
    assert (found["v3"]["actor"], found["v3"]["state"]) == ("outside", "promoted")
    await site.releases.look()
    await site.releases.look()
    assert len(await site.history()) == 3


async def test_a_trial_taken_away_by_hand_is_not_begun_again(site: Site) -> None:
    await site.releases.start_canary("v2", actor="loop")
    site.serving.on_trial = None
    assert await site.releases.look() == "open"  # perhaps it is just being begun
    site.now += timedelta(minutes=11)
    site.releases._rest_until = 0.0
    assert await site.releases.look() == "ended"
    assert site.serving.on_trial is None


async def test_a_process_that_died_half_way_is_made_up_for(site: Site) -> None:
    row = site.releases._row("full", "v2", actor="Ada", run_id=None, reason=None)
    await site.journal.write(partial(promotions.begin_switch, row=row))
    site.serving.current = "v2"
    site.now += timedelta(minutes=11)
    await site.releases.look()
    (found,) = await site.history()
    assert (found["state"], found["actor"]) == ("promoted", "Ada")
    await site.releases.start_canary("v3", actor="loop")
    site.serving.current, site.serving.on_trial = "v3", None
    assert await site.releases.look() == "promoted"


# The understanding service itself, with models that know payloads only.


@dataclass
class Service:
    """The real service and its folder."""

    url: str
    store: BundleStore
    settings: Settings

    async def version(self, session: aiohttp.ClientSession, conversation: str | None = None) -> str:
        """Which version answers; without a conversation the serving one, whatever is on trial."""
        of = {} if conversation is None else {"conversation_id": conversation}
        body = {"text": "/greet", **of}
        async with session.post(f"{self.url}/model/parse", json=body) as response:
            assert response.status == 200
            return str((await response.json())["model_version"])

    async def until(self, version: str) -> None:
        async with aiohttp.ClientSession() as session, asyncio.timeout(10):
            while True:
                with suppress(AssertionError):  # 503: none is loaded yet
                    if await self.version(session) == version:
                        return
                await asyncio.sleep(0.01)


@pytest.fixture(params=["token", "no token"])
async def service(
    request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path, monkeypatch: Any
) -> AsyncIterator[Service]:
    monkeypatch.setattr("nlu.bundle.open_bundle", lambda folder: None)
    store = BundleStore(tmp_path / "models")
    for number in (1, 2, 3):
        folder = store.root / f"v{number}"
        folder.mkdir(parents=True)
        manifest = {"format": 1, "version": f"v{number}", "parent": None, "files": {}}
        manifest |= dict.fromkeys(("created_at", "base_model", "embedder_id", "mode"), "x")
        manifest |= {"embedding_dim": 3, "max_tokens": 64, "seed": 1, "dataset_sha256": "0"}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    store.activate("v1")
    token = {"admin_token": "secret"} if request.param == "token" else {}
    common: dict[str, Any] = {"models_dir": tmp_path / "models", "_env_file": None, **token}

    def load(version: str) -> Any:
        bundle = SimpleNamespace(calibration=SimpleNamespace(fallback_threshold=0.5))
        return SimpleNamespace(version=version, bundle=bundle, ladder=SimpleNamespace(mode="fake"))

    async with TestServer(build_app(NluSettings(**common), load_version=load)) as server:
        url = str(server.make_url("/")).rstrip("/")
        settings = Settings(nlu_url=url, database_url=sqlite_url, **common)
        service = Service(url, store, settings)
        await service.until("v1")
        yield service


Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def kefu_models(service: Service, monkeypatch: Any) -> Run:
    """Runs `kefu models ...` in a thread: the service is on this loop."""
    from bot.learning.release.cli import models

    for name in ("nlu_url", "database_url", "models_dir"):
        monkeypatch.setenv(f"KEFU_{name.upper()}", str(getattr(service.settings, name)))
    if service.settings.admin_token is not None:
        monkeypatch.setenv("KEFU_ADMIN_TOKEN", service.settings.admin_token.get_secret_value())

    async def run(*arguments: str, fails: bool = False) -> Any:
        result = await asyncio.to_thread(CliRunner().invoke, models, arguments)
        assert (result.exception is not None) is fails, result.output
        return result

    return run


async def test_the_commands_tell_the_service_and_the_log(
    service: Service, journal: Journal, kefu_models: Run
) -> None:
    await kefu_models("activate", "v2", "--reason", "a try")
    await service.until("v2")
    shown = json.loads((await kefu_models("canary", "v3", "--share", "0.5", "--json")).output)
    assert (shown["state"], shown["report"]["sides"]["trial"]["version"]) == ("open", "v3")
    trial = service.store.trial()
    assert trial is not None
    conversation = next(f"c{n}" for n in range(100) if trial.covers(f"c{n}"))
    async with aiohttp.ClientSession() as session, asyncio.timeout(10):
        while await service.version(session, conversation) != "v3":
            await asyncio.sleep(0.01)
    assert "has 50% of the conversations" in (await kefu_models("canary")).output
    refused = await kefu_models("ab", "show", fails=True)
    assert "no A/B is open" in str(refused.exception)
    await kefu_models("canary", "--stop", "--reason", "enough")
    assert service.store.trial() is None
    await kefu_models("ab", "start", "v3")
    assert (
        "there are no conversations on both sides yet" in (await kefu_models("ab", "show")).output
    )
    assert (await kefu_models("ab", "end", "--keep", "b")).output == "current is v3\n"
    lines = (await kefu_models("history", "--json")).output.splitlines()
    assert [(row["kind"], row["state"], row["version"]) for row in map(json.loads, lines)] == [
        ("ab", "promoted", "v3"),
        ("canary", "ended", "v3"),
        ("full", "promoted", "v2"),
    ]
    assert "a try" in (await kefu_models("history")).output


async def test_rolling_back_takes_seconds(
    service: Service, journal: Journal, kefu_models: Run
) -> None:
    await kefu_models("activate", "v3")
    await kefu_models("canary", "v2")
    await service.until("v3") if service.settings.admin_token else None
    started = time.monotonic()
    result = json.loads((await kefu_models("rollback", "--json")).output)
    await service.until("v1")
    assert time.monotonic() - started < 10
    assert result == {"current": "v1", "before": "v3", "on_record": True}
    async with aiohttp.ClientSession() as session:
        releases = open_releases(journal, session, service.settings, World())
        rows = {row["kind"]: row for row in await releases.history()}
    assert (rows["rollback"]["previous"], rows["canary"]["state"]) == ("v3", "rolled_back")


async def test_rolling_back_goes_without_a_log(service: Service, kefu_models: Run) -> None:
    """The database of this test has no tables."""
    service.store.activate("v2")
    result = await kefu_models("rollback")
    assert "current is v1" in result.output
    assert "not on record" in result.output
    assert service.store.current() == "v1"


async def test_a_service_that_is_gone_does_not_hold_a_roll_back_up(service: Service) -> None:
    service.store.activate("v2")
    service.store.try_out(Trial(version="v3", share=0.5, salt="s"))
    settings = service.settings.model_copy(update={"nlu_url": "http://127.0.0.1:1"})
    async with aiohttp.ClientSession() as session:
        versions = Versions(session, settings)
        await versions.end_trial()
        assert service.store.trial() is None
        assert await versions.roll_back() == "v1"
    assert service.store.current() == "v1"
