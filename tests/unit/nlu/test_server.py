import asyncio
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from nlu.errors import BundleError
from nlu.server import SERVICE, build_app
from nlu.settings import NluSettings


@pytest.fixture
def engine(make_engine):
    return make_engine()


@pytest.fixture
async def client(tmp_path: Path, make_model, engine):
    """The service on a fake model `v1`; `v2` loads too, `bad` does not."""
    for version in ("v1", "v2", "bad"):
        folder = tmp_path / "nlu" / version
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    (tmp_path / "nlu" / "current").write_text("v1\n")

    def load(version: str):
        if version == "bad":
            raise BundleError(tmp_path / "nlu" / "bad", "labels.json is missing")
        return make_model(engine, version=version)

    settings = NluSettings(
        models_dir=tmp_path, admin_token="secret", nlu_queue_tokens=512, _env_file=None
    )
    async with TestClient(TestServer(build_app(settings, load_version=load))) as client:
        await until_ready(client)
        yield client


async def until_ready(client: TestClient) -> None:
    async with asyncio.timeout(10):
        while (await client.get("/readyz")).status != 200:
            await asyncio.sleep(0.001)


async def parse(client: TestClient, text: str, **more: object) -> dict:
    response = await client.post("/model/parse", json={"text": text, "message_id": "m", **more})
    assert response.status == 200
    return await response.json()


async def test_parse_speaks_rasas_protocol(client) -> None:
    result = await parse(client, "where is HP-204418")
    assert result["text"] == "where is HP-204418"
    assert result["intent"]["name"] == "track_order"
    assert [(e["entity"], e["value"]) for e in result["entities"]] == [
        ("order_number", "HP-204418"),
        ("emotion", "angry"),
    ]
    assert result["emotion"]["ranking"][1]["name"] == "happy"
    assert (result["model_version"], result["mode"]) == ("v1", "cpu-int8")
    assert set(result["timing_ms"]) == {"queue", "tokenize", "model"}


async def test_an_unsure_parse_falls_back(client) -> None:
    result = await parse(client, "what?")
    assert result["intent"]["name"] == "nlu_fallback"
    assert result["intent_ranking"][1]["name"] == "track_order"


async def test_payloads_are_read_unless_literal(client) -> None:
    payload = '/choose_answer{"qa_id": "17"}'
    assert (await parse(client, payload))["intent"]["name"] == "choose_answer"
    literal = await parse(client, payload, literal=True)
    assert literal["intent"]["name"] == "track_order"
    assert [e["entity"] for e in literal["entities"]] == ["emotion"]


async def test_the_same_text_is_not_computed_twice(client, engine) -> None:
    first = await parse(client, "good day")
    second = await parse(client, "good day")
    assert [batch for batch in engine.batches if batch == ["good day"]] == [["good day"]]
    assert first["intent"] == second["intent"]
    assert second["timing_ms"]["model"] == 0.0


async def test_what_is_remembered_can_be_forgotten(client, engine) -> None:
    await parse(client, "good day")
    await client.post("/v1/embed", json={"texts": ["good day", "a"]})
    forgotten = await client.post("/v1/forget", json={})
    assert await forgotten.json() == {"forgotten": 3}
    await parse(client, "good day")
    assert len([batch for batch in engine.batches if batch == ["good day"]]) >= 2
    assert await (await client.post("/v1/forget", json={})).json() == {"forgotten": 1}


async def test_classify_answers_in_order_and_explains(client) -> None:
    body = {"texts": ["good day", "track order", "good day"], "explain": True}
    response = await client.post("/v1/classify", json=body)
    result = await response.json()
    assert result["model_version"] == "v1"
    names = [r["intent"]["name"] for r in result["results"]]
    assert names == ["greet", "track_order", "greet"]
    words = result["results"][0]["explanation"]["words"]
    assert [word["text"] for word in words] == ["good", "day"]
    assert words[0]["weight"] > words[1]["weight"] == 0  # without "good" it is no greeting


async def test_embed_names_its_embedder(client) -> None:
    response = await client.post("/v1/embed", json={"texts": ["a", "b", "a"]})
    result = await response.json()
    assert (result["model_version"], result["dim"]) == ("fake-1", 3)
    assert result["embeddings"] == [[0.6, 0.8, 0.0]] * 3


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/model/parse", b"x", 400, "body"),
        ("/model/parse", b'{"text": ""}', 400, "text"),
        ("/model/parse", b'{"text": "a\\u0000"}', 400, "text"),
        ("/model/parse", b'{"text": "\\ud800"}', 400, "text"),
        ("/model/parse", b'{"text": "%s"}' % (b"a" * 10_000), 413, "text"),
        ("/model/parse", b'{"text": "a", "literal": 1}', 400, "literal"),
        ("/v1/embed", b'{"texts": []}', 400, "texts"),
        ("/v1/classify", b'{"texts": ["a", ""]}', 400, "texts[1]"),
        ("/v1/classify", b" " * 9_000_000, 413, "body"),
        ("/v1/nothing", b"{}", 404, "path"),
    ],
)
async def test_bad_requests_name_the_field(client, path, body, status, field) -> None:
    response = await client.post(path, data=BytesIO(body))
    assert response.status == status
    error = (await response.json())["error"]
    assert error["field"] == field
    assert error["message"]


async def test_more_tokens_than_may_wait_are_refused(client, engine) -> None:
    engine.gate.clear()
    long = [f"hello {number} " + "day " * 60 for number in range(8)]
    first = asyncio.create_task(client.post("/v1/classify", json={"texts": long}))
    async with asyncio.timeout(10):
        while len(engine.batches) < 1:
            await asyncio.sleep(0.001)
    refused = await client.post("/v1/classify", json={"texts": ["hi there"]})
    engine.gate.set()
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await first).status == 200


async def test_a_broken_engine_is_a_503(client, engine, caplog) -> None:
    engine.broken = True
    response = await client.post("/model/parse", json={"text": "good day"})
    assert response.status == 503
    assert (await response.json())["error"]["field"] == "model"


ADMIN = {"Authorization": "Bearer secret"}


async def test_activation_swaps_the_model_and_moves_the_pointer(client, tmp_path) -> None:
    response = await client.post("/v1/models/v2/activate", headers=ADMIN)
    assert (await response.json())["active"] == "v2"
    assert (await parse(client, "good day"))["model_version"] == "v2"
    assert (tmp_path / "nlu" / "current").read_text() == "v2\n"


@pytest.mark.parametrize(
    ("version", "headers", "status"),
    [
        ("v2", {}, 401),
        ("v2", {"Authorization": "Bearer wrong"}, 401),
        ("v9", ADMIN, 404),
        ("bad", ADMIN, 409),
    ],
)
async def test_a_refused_activation_changes_nothing(client, version, headers, status) -> None:
    response = await client.post(f"/v1/models/{version}/activate", headers=headers)
    assert response.status == status
    assert (await parse(client, "good day"))["model_version"] == "v1"


async def test_metrics_count_requests(client) -> None:
    await parse(client, "good day")
    page = await (await client.get("/metrics")).text()
    assert 'kefu_nlu_requests_total{route="/model/parse",status="200"} 1.0' in page
    assert 'kefu_nlu_model{mode="cpu-int8",version="v1"} 1.0' in page


async def test_without_a_model_it_is_up_but_not_ready(tmp_path: Path) -> None:
    settings = NluSettings(models_dir=tmp_path / "none", _env_file=None)
    async with TestClient(TestServer(build_app(settings))) as client:
        assert (await client.get("/healthz")).status == 200
        ready = await client.get("/readyz")
        assert ready.status == 503
        assert "kefu train" in (await ready.json())["reason"]
        assert (await client.post("/model/parse", json={"text": "hi"})).status == 503
        refused = await client.post("/v1/models/v1/activate")
        assert refused.status == 403
        assert "KEFU_ADMIN_TOKEN" in await refused.text()


async def test_a_moved_pointer_is_followed(client, tmp_path) -> None:
    (tmp_path / "nlu" / "current").write_text("v2\n")
    async with asyncio.timeout(10):
        while (await parse(client, "good day"))["model_version"] != "v2":
            await asyncio.sleep(0.01)


async def test_a_pointer_to_a_damaged_version_keeps_the_active_one(client, tmp_path) -> None:
    service = client.app[SERVICE]
    (tmp_path / "nlu" / "current").write_text("bad\n")
    await service.follow_pointer()
    assert "labels.json is missing" in service.problem
    assert (await parse(client, "good day"))["model_version"] == "v1"
