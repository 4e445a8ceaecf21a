"""Two versions at once: a share of the conversations falls to the one on trial."""

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from nlu.bundle import BundleStore
from nlu.errors import BundleError
from nlu.server import SERVICE, build_app
from nlu.settings import NluSettings
from nlu.trial import Trial

ADMIN = {"Authorization": "Bearer secret"}
HALF = {"share": 0.5, "salt": "s"}


@dataclass
class Site:
    """The service on fake models v1 (active), v2, v3, each with an engine of its own."""

    client: TestClient
    store: BundleStore
    engines: dict[str, Any]
    loads: list[str] = field(default_factory=list)

    async def parse(self, conversation: str | None = None, text: str = "good day") -> dict:
        body = {"text": text, "message_id": "m"}
        if conversation is not None:
            body["conversation_id"] = conversation
        response = await self.client.post("/model/parse", json=body)
        assert response.status == 200
        return await response.json()

    async def version(self, conversation: str | None = None) -> str:
        return (await self.parse(conversation))["model_version"]

    async def try_out(self, version: str = "v2", **changes: object) -> Any:
        return await self.client.post(
            f"/v1/models/{version}/trial", json=HALF | changes, headers=ADMIN
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.001)


@pytest.fixture
async def site(tmp_path: Path, make_model, make_engine, monkeypatch):
    monkeypatch.setattr("nlu.server._POINTER_S", 0.01)
    for version in ("v1", "v2", "v3", "bad"):
        folder = tmp_path / "nlu" / version
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    store = BundleStore(tmp_path)
    store.activate("v1")
    engines = {version: make_engine() for version in ("v1", "v2", "v3")}
    loads: list[str] = []

    def load(version: str):
        loads.append(version)
        if version == "bad":
            raise BundleError(tmp_path / "nlu" / "bad", "labels.json is missing")
        return make_model(engines[version], version=version)

    settings = NluSettings(models_dir=tmp_path, admin_token="secret", _env_file=None)
    async with TestClient(TestServer(build_app(settings, load_version=load))) as client:
        site = Site(client, store, engines, loads)
        service = client.app[SERVICE]
        await site.until(lambda: service._model is not None)
        yield site


def covered(*, by: bool, trial: Trial = Trial(version="v2", **HALF)) -> str:  # noqa: B008
    """A conversation that falls to the trial, or not."""
    return next(str(n) for n in range(1_000) if trial.covers(str(n)) is by)


async def test_a_share_of_the_conversations_falls_to_the_trial(site: Site) -> None:
    answer = await site.try_out()
    assert (await answer.json())["trial"] == {"version": "v2", "share": 0.5}
    trial = Trial(version="v2", **HALF)
    for number in range(60):
        wanted = "v2" if trial.covers(f"c{number}") else "v1"
        # The same for all of its messages.
        assert [await site.version(f"c{number}") for _ in range(2)] == [wanted] * 2


async def test_without_a_conversation_the_active_version_answers(site: Site) -> None:
    await site.try_out(share=0.999)
    assert {await site.version() for _ in range(5)} == {"v1"}
    assert await site.version(covered(by=True)) == "v2"


async def test_payloads_name_the_version_of_their_conversation(site: Site) -> None:
    await site.try_out()
    assert (await site.parse(covered(by=True), "/greet"))["model_version"] == "v2"
    assert (await site.parse(covered(by=False), "/greet"))["model_version"] == "v1"


async def test_each_version_remembers_its_own_answers(site: Site) -> None:
    await site.try_out()
    sides = [covered(by=True), covered(by=False)]
    for _ in range(3):
        assert [await site.version(one) for one in sides] == ["v2", "v1"]
    for version in ("v1", "v2"):
        assert site.engines[version].batches.count(["good day"]) == 1


async def test_a_trial_that_ends_gives_its_conversations_back(site: Site) -> None:
    await site.try_out()
    ended = await site.client.delete("/v1/models/trial", headers=ADMIN)
    assert await ended.json() == {"ended": True}
    assert await site.version(covered(by=True)) == "v1"
    assert site.store.trial() is None
    again = await site.client.delete("/v1/models/trial", headers=ADMIN)
    assert await again.json() == {"ended": False}


async def test_the_file_is_followed_as_the_pointer_is(site: Site) -> None:
    service = site.client.app[SERVICE]
    site.store.try_out(Trial(version="v2", share=0.5, salt="s"))
    await site.until(lambda: service.trial is not None)
    assert await site.version(covered(by=True)) == "v2"
    site.store.try_out(Trial(version="v2", share=0.9, salt="s"))
    await site.until(lambda: service.trial is not None and service.trial.share == 0.9)
    assert site.loads == ["v1", "v2"]  # another share is no other model
    site.store.end_trial()
    await site.until(lambda: service.trial is None)


async def test_a_trial_that_cannot_be_loaded_leaves_the_active_one(site: Site, caplog) -> None:
    site.store.try_out(Trial(version="bad", share=0.999, salt="s"))
    await site.until(lambda: "trial_refused version=bad" in caplog.text)
    assert await site.version("c1") == "v1"
    (site.store.root / "trial").write_text("half a f")
    await site.until(lambda: "is not JSON" in caplog.text)
    assert await site.version("c1") == "v1"


async def test_an_engine_on_trial_that_fails_costs_no_answer(site: Site, caplog) -> None:
    await site.try_out()
    conversation = covered(by=True)
    assert await site.version(conversation) == "v2"
    site.engines["v2"].broken = True
    for number in range(3):
        assert (await site.parse(conversation, f"hello {number}"))["model_version"] == "v1"
    assert caplog.text.count("trial_failed version=v2") == 1
    site.engines["v2"].broken = False
    assert (await site.parse(conversation, "hello again"))["model_version"] == "v2"


async def test_a_trial_down_to_its_last_resort_gives_way(site: Site) -> None:
    site.engines["v2"].mode = "lexical"
    await site.try_out()
    assert await site.version(covered(by=True)) == "v1"


async def test_promoting_the_trial_takes_its_model(site: Site) -> None:
    await site.try_out()
    conversation = covered(by=True)
    answer = await site.client.post("/v1/models/v2/activate", headers=ADMIN)
    assert answer.status == 200
    assert site.loads == ["v1", "v2"]
    assert {await site.version(one) for one in (conversation, covered(by=False))} == {"v2"}
    assert (site.store.current(), site.store.trial()) == ("v2", None)


async def test_a_pointer_moved_to_the_trial_takes_its_model_too(site: Site) -> None:
    await site.try_out()
    site.store.activate("v2")
    service = site.client.app[SERVICE]
    await site.until(lambda: service.model.version == "v2")
    assert (site.loads, service.trial) == (["v1", "v2"], None)


async def test_never_more_than_two_models_are_held(site: Site, make_model) -> None:
    held: list[int] = []
    service = site.client.app[SERVICE]
    load = service._load

    def counting(version: str):
        held.append((service._model is not None) + (service._tried is not None))
        return load(version)

    service._load = counting
    await site.try_out("v2")
    await site.try_out("v3")
    await site.client.post("/v1/models/v2/activate", headers=ADMIN)
    assert held == [1, 1, 1]
    assert await site.version("c1") == "v2"


async def test_a_model_that_is_let_go_leaves_the_memory(site: Site) -> None:
    service = site.client.app[SERVICE]
    await site.try_out()
    await site.parse(covered(by=True))
    left = weakref.ref(service._tried.model.ladder)
    await site.client.delete("/v1/models/trial", headers=ADMIN)
    await site.until(lambda: left() is None)


async def test_a_failed_change_brings_the_trial_back(site: Site) -> None:
    await site.try_out()
    refused = await site.client.post("/v1/models/bad/activate", headers=ADMIN)
    assert refused.status == 409
    service = site.client.app[SERVICE]
    await site.until(lambda: service.trial is not None)
    assert await site.version(covered(by=True)) == "v2"


async def test_swaps_under_load_answer_every_message(site: Site) -> None:
    wrong: list[object] = []
    done = asyncio.Event()
    answered = 0

    async def ask(client: int) -> None:
        nonlocal answered
        number = 0
        while not done.is_set():
            number += 1
            body = {"text": f"good {client} {number}", "conversation_id": f"c{number % 50}"}
            response = await site.client.post("/model/parse", json=body)
            parse = await response.json()
            if response.status != 200 or parse["intent"]["name"] != "greet":
                wrong.append(parse)
            answered += 1

    asking = [asyncio.create_task(ask(client)) for client in range(8)]
    for _ in range(3):
        await site.try_out("v2")
        await site.client.post("/v1/models/v2/activate", headers=ADMIN)
        await site.try_out("v3")
        await site.client.delete("/v1/models/trial", headers=ADMIN)
        await site.client.post("/v1/models/v1/activate", headers=ADMIN)
    before = answered
    await site.until(lambda: answered > before + 50)
    done.set()
    await asyncio.gather(*asking)
    assert wrong == []


async def test_both_versions_can_be_asked_by_name(site: Site) -> None:
    await site.try_out()
    for version in ("v1", "v2"):
        body = {"texts": ["good day"], "model_version": version, "explain": True}
        answer = await (await site.client.post("/v1/classify", json=body)).json()
        assert (answer["model_version"], answer["results"][0]["model_version"]) == (version,) * 2
        assert answer["results"][0]["explanation"]["words"]
    other = await site.client.post(
        "/v1/classify", json={"texts": ["good day"], "model_version": "v3"}
    )
    assert other.status == 404
    assert (await other.json())["error"]["field"] == "model_version"


async def test_a_version_asked_by_name_answers_itself_or_not_at_all(site: Site) -> None:
    await site.try_out()
    site.engines["v2"].broken = True
    body = {"texts": ["good day"], "model_version": "v2"}
    assert (await site.client.post("/v1/classify", json=body)).status == 503


async def test_the_trial_is_told(site: Site) -> None:
    async def told(path: str) -> Any:
        return (await (await site.client.get(path)).json())["trial"]

    assert [await told(path) for path in ("/readyz", "/v1/models")] == [None, None]
    await site.try_out()
    shown = {"version": "v2", "share": 0.5}
    assert [await told(path) for path in ("/readyz", "/v1/models")] == [shown, shown]


@pytest.mark.parametrize(
    ("version", "body", "headers", "status", "field"),
    [
        ("v2", HALF, {}, 401, "authorization"),
        ("v9", HALF, ADMIN, 404, "version"),
        ("bad", HALF, ADMIN, 409, "version"),
        ("v1", HALF, ADMIN, 409, "version"),
        ("v2", {"share": 1.5, "salt": "s"}, ADMIN, 400, "share"),
        ("v2", {"share": 0.5}, ADMIN, 400, "salt"),
        ("v2", [], ADMIN, 400, "body"),
    ],
)
async def test_a_refused_trial_changes_nothing(
    site: Site, version: str, body: object, headers: dict, status: int, field: str
) -> None:
    answer = await site.client.post(f"/v1/models/{version}/trial", json=body, headers=headers)
    assert answer.status == status
    assert (await answer.json())["error"]["field"] == field
    assert site.store.trial() is None
    assert (await site.client.delete("/v1/models/trial")).status == 401
    assert await site.version("c1") == "v1"


async def test_a_conversation_that_is_no_text_is_refused(site: Site) -> None:
    body = {"text": "good day", "conversation_id": 7}
    answer = await site.client.post("/model/parse", json=body)
    assert answer.status == 400
    assert (await answer.json())["error"]["field"] == "conversation_id"
