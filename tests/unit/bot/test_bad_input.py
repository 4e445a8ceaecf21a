"""What is wrong with a request is named, and nothing of it is kept."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st


def rows(folder: Path) -> int:
    with sqlite3.connect(folder / "kefu.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM message").fetchone()
    connection.close()
    return int(count)


def body(**fields: Any) -> bytes:
    return json.dumps({"id": "m1", "text": "hello"} | fields).encode()


NESTED = b'{"id": "m1", "text": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"

BAD = [
    pytest.param(body(text=""), 400, "text", id="empty"),
    pytest.param(body(text=" \t\n\u3000"), 400, "text", id="whitespace only"),
    pytest.param(body(text="\u200b\u200d\U000e0041"), 400, "text", id="invisible only"),
    pytest.param(body(text="x" * 10_000), 413, "text", id="10,000 characters"),
    pytest.param(body(text="x" * 4_001), 413, "text", id="one character too many"),
    pytest.param(b"hello", 400, "body", id="not JSON"),
    pytest.param(b"", 400, "body", id="no body"),
    pytest.param(b"[1]", 400, "body", id="an array"),
    pytest.param(b"null", 400, "body", id="null"),
    pytest.param(b'{"text": "hello"}', 400, "id", id="no id"),
    pytest.param(b'{"id": "m1"}', 400, "text", id="no text"),
    pytest.param(body(text=7), 400, "text", id="a number for text"),
    pytest.param(body(text=None), 400, "text", id="null for text"),
    pytest.param(body(text={"a": 1}), 400, "text", id="an object for text"),
    pytest.param(body(id=1), 400, "id", id="a number for id"),
    pytest.param(body(id=""), 400, "id", id="empty id"),
    pytest.param(body(id="x" * 129), 400, "id", id="long id"),
    pytest.param(body(id="a\0b"), 400, "id", id="NUL in id"),
    pytest.param(body(id="\ud800"), 400, "id", id="surrogate in id"),
    pytest.param(body(text="a\0b"), 400, "text", id="NUL"),
    pytest.param(body(text="a\ud83d"), 400, "text", id="lone surrogate"),
    pytest.param(b'{"id": "m1", "text": "\xff"}', 400, "body", id="not UTF-8"),
    pytest.param(b'{"id": "m1", "id": "m2", "text": "a"}', 400, "id", id="a key twice"),
    pytest.param(b'{"id": "m1", "text": "a", "n": NaN}', 400, "body", id="NaN"),
    pytest.param(NESTED, 400, "body", id="20,000 deep"),
    pytest.param(body(more="x" * 70_000), 413, "body", id="oversize"),
]


@pytest.mark.parametrize(("raw", "status", "field"), BAD)
async def test_a_bad_body_is_named_and_not_kept(
    running: Any, tmp_path: Path, raw: bytes, status: int, field: str
) -> None:
    conversation = await running.converse()
    response = await running.client.post(conversation.url, data=raw, headers=conversation.headers)
    assert response.status == status
    error = (await response.json())["error"]
    assert error["field"] == field
    assert error["message"]
    assert error["remedy"]
    assert rows(tmp_path) == 0


async def test_the_longest_text_allowed_is_taken(running: Any) -> None:
    conversation = await running.converse()
    assert (await conversation.say("m1", "x" * 4_000))[0] == 200


async def test_a_forged_token_is_refused(running: Any, tmp_path: Path) -> None:
    conversation = await running.converse()
    other = await running.converse()
    id_, _, signature = conversation.token.rpartition(".")
    for header, status in (
        (None, 401),
        ("Bearer", 401),
        ("Basic abc", 401),
        ("Bearer abc", 401),
        (f"Bearer {id_}.{signature[:-2]}xx", 401),
        (f"Bearer {other.id}.{signature}", 401),
        (f"Bearer {other.token}", 403),
        ("Bearer \u00fc.\u00fc", 401),
    ):
        headers = {} if header is None else {"Authorization": header}
        for method in ("post", "get"):
            response = await running.client.request(
                method, conversation.url, data=body(), headers=headers
            )
            assert response.status == status, header
            assert (await response.json())["error"]["field"] == "Authorization"
    assert rows(tmp_path) == 0


async def test_an_unknown_conversation_is_refused(running: Any, tmp_path: Path) -> None:
    gone = await running.converse()
    token = gone.token
    with sqlite3.connect(tmp_path / "kefu.db") as connection:
        connection.execute("DELETE FROM conversation")
    connection.close()
    headers = {"Authorization": f"Bearer {token}"}
    for method in ("post", "get"):
        response = await running.client.request(method, gone.url, data=body(), headers=headers)
        assert response.status == 404
        assert (await response.json())["error"]["field"] == "conversation_id"
    unknown = "/api/v1/conversations/a%00b/messages"
    response = await running.client.post(unknown, data=body(), headers=headers)
    assert response.status == 403
    assert rows(tmp_path) == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?after=x", "after"),
        ("?after=-1", "after"),
        ("?after=99999999999999999999", "after"),
        ("?after=\u0661", "after"),
        ("?limit=201", "limit"),
        ("?limit=" + "9" * 5000, "limit"),
    ],
)
async def test_a_bad_query_is_named(running: Any, query: str, field: str) -> None:
    conversation = await running.converse()
    response = await running.client.get(conversation.url + query, headers=conversation.headers)
    assert response.status == 400
    assert (await response.json())["error"]["field"] == field


async def test_a_compressed_body_is_refused(running: Any, tmp_path: Path) -> None:
    conversation = await running.converse()
    response = await running.client.post(
        conversation.url,
        data=body(),
        headers=conversation.headers,
        compress="gzip",
    )
    assert response.status == 415
    assert rows(tmp_path) == 0


async def test_what_is_not_there_is_json_too(running: Any) -> None:
    response = await running.client.get("/api/v1/nothing")
    assert response.status == 404
    assert (await response.json())["error"]["remedy"]
    response = await running.client.put("/api/v1/conversations")
    assert response.status == 405
    assert response.headers["Allow"] == "POST"


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    raw=st.binary(max_size=200)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {},
        optional={
            "id": json_values,
            "text": json_values,
            "message": json_values,
            "sender": json_values,
        },
    ).map(lambda value: json.dumps(value).encode())
)
async def test_no_body_breaks_the_gateway(running: Any, raw: bytes) -> None:
    conversation = await running.converse()
    for url in (conversation.url, "/webhooks/rest/webhook"):
        response = await running.client.post(url, data=raw, headers=conversation.headers)
        assert response.status < 500
        answer = await response.json()
        assert response.status < 400 or set(answer["error"]) == {"field", "message", "remedy"}
