"""The client of the understanding service, against a tiny service."""

import asyncio

import numpy as np
import pytest
from aiohttp import web

from actions.errors import UnderstandingError
from actions.understanding import UnderstandingClient, embed_in_batches


@pytest.fixture
async def service(aiohttp_server):
    answers = {"body": {"model_version": "e-1", "dim": 2, "embeddings": [[1, 0]]}, "status": 200}

    async def embed(request: web.Request) -> web.Response:
        await asyncio.sleep(answers.get("wait", 0))
        return web.json_response(answers["body"], status=answers["status"])

    app = web.Application()
    app.add_routes([web.post("/v1/embed", embed)])
    server = await aiohttp_server(app)
    client = UnderstandingClient(str(server.make_url("/")), timeout_s=0.3)
    yield client, answers
    await client.close()


async def test_embeddings_come_with_their_model(service) -> None:
    client, _ = service
    made = await client.embed(["a"])
    assert made.embedder == "e-1"
    assert np.array_equal(made.vectors, [[1, 0]])


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        ({"status": 503}, "answered 503"),
        ({"body": {}}, "answered"),
        ({"body": {"model_version": "e", "embeddings": [[1], [2]]}}, "for 1"),
        ({"wait": 5}, "longer than"),
    ],
)
async def test_what_goes_wrong_is_named_with_the_remedy(service, answers, named: str) -> None:
    client, state = service
    state.update(answers)
    with pytest.raises(UnderstandingError, match=named) as caught:
        await client.embed(["a"])
    assert "KEFU_NLU_URL" in str(caught.value)


async def test_an_unreachable_service_is_an_error_of_ours() -> None:
    client = UnderstandingClient("http://127.0.0.1:9", timeout_s=1)
    with pytest.raises(UnderstandingError, match="failed"):
        await client.embed(["a"])
    await client.close()


async def test_batches_keep_their_order(embedder) -> None:
    texts = [f"text number {i}" for i in range(10)]
    made = await embed_in_batches(embedder, texts, batch_size=3)
    assert np.array_equal(made.vectors, (await embedder.embed(texts)).vectors)
    assert (await embed_in_batches(embedder, [])).vectors.shape == (0, 0)


async def test_a_model_exchanged_between_batches_is_noticed(embedder) -> None:
    class Changing(type(embedder)):
        async def embed(self, texts):
            self.name += "x"
            return await super().embed(texts)

    with pytest.raises(UnderstandingError, match="exchanged"):
        await embed_in_batches(Changing(), ["a", "b"], batch_size=1)
