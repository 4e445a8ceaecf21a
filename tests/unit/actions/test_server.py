"""The server: rasa-sdk's protocol, bad bodies, readiness."""

import json
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient

from actions.errors import StoreError
from actions.server import Parts, build_app, build_parts
from actions.settings import ActionSettings

CALL = {
    "next_action": "action_reset_order_slots",
    "sender_id": "c-1",
    "version": "3.6.21",
    "tracker": {"sender_id": "c-1", "slots": {"email": "x"}, "latest_message": {}, "events": []},
}


@pytest.fixture
async def client(aiohttp_client, tmp_path: Path, database, embedder, search, clock) -> TestClient:
    settings = ActionSettings(
        _env_file=None,
        data_dir=Path(__file__).parents[3] / "data",
        database_url=f"sqlite:///{tmp_path / 'kefu.db'}",
        actions_max_body_bytes=10_000,
    )
    parts = Parts(database=database, embedder=embedder, search=search, clock=clock)
    return await aiohttp_client(build_app(settings, parts=parts))


async def test_an_action_is_run_without_a_domain(client: TestClient) -> None:
    response = await client.post("/webhook", json=CALL)
    assert response.status == 200
    body = await response.json()
    assert body["responses"] == []
    assert [(e["event"], e["name"], e["value"]) for e in body["events"]] == [
        ("slot", "email", None)
    ]


async def test_metadata_goes_along_with_an_answer(client: TestClient) -> None:
    message = {"text": "return window", "intent": {"name": "ask_return_policy"}}
    call = {**CALL, "next_action": "action_answer"}
    call["tracker"] = {**CALL["tracker"], "latest_message": message}
    body = await (await client.post("/webhook", json=call)).json()
    assert body["responses"][0]["qa"]["id"] == "returns-001"


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"[]", 400, "tracker"),
        (b'{"next_action": "action_answer"}', 400, "tracker"),
        (b'{"tracker": {}}', 400, "next_action"),
        (b'{"next_action": "action_answer", "tracker": {"sender_id": 7}}', 400, "sender_id"),
        (b'{"next_action": "nope", "tracker": {"sender_id": "a"}}', 404, "nope"),
    ],
)
async def test_a_bad_call_is_named(
    client: TestClient, body: bytes, status: int, named: str
) -> None:
    response = await client.post("/webhook", data=body)
    assert response.status == status
    assert named in (await response.json())["error"]


async def test_a_body_over_the_bound_is_refused(client: TestClient) -> None:
    response = await client.post("/webhook", data=json.dumps({**CALL, "x": "y" * 20_000}))
    assert response.status == 413


async def test_all_actions_of_the_domain_are_there(client: TestClient) -> None:
    import yaml

    names = {action["name"] for action in await (await client.get("/actions")).json()}
    domain = Path(__file__).parents[3] / "bot" / "dialogue" / "domain.yml"
    assert set(yaml.safe_load(domain.read_text())["actions"]) <= names


async def test_readiness_names_what_is_missing(client: TestClient, database) -> None:
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 200
    database.writing(lambda c: c.exec_driver_sql("DROP TABLE order_operation"))
    database.writing(lambda c: c.exec_driver_sql("DROP TABLE shop_order"))
    response = await client.get("/readyz")
    assert response.status == 503
    assert "shop_order" in (await response.json())["reason"]


async def test_a_broken_database_is_a_503_without_the_customers_words(
    client: TestClient, database
) -> None:
    database.writing(lambda c: c.exec_driver_sql("DROP TABLE order_operation"))
    database.writing(lambda c: c.exec_driver_sql("DROP TABLE shop_order"))
    slots = {"order_number": "HP-482913", "email": "maya.ellis@mail.example"}
    call = {**CALL, "next_action": "action_track_order"}
    call["tracker"] = {**CALL["tracker"], "slots": slots}
    response = await client.post("/webhook", json=call)
    assert response.status == 503
    assert "maya" not in await response.text()


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/at/all/kefu.db", "mysql2://x/y"])
def test_a_wrong_database_url_is_said_in_one_line(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        build_parts(ActionSettings(_env_file=None, database_url=url))
    assert "\n" not in str(caught.value)
