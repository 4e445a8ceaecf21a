"""The widget's pages: their policies, caching and what is not there."""

import gzip
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from aiohttp.typedefs import Handler
from pytest_aiohttp.plugin import AiohttpClient

from bot.errors import RequestError
from bot.web.pages import Pages, WidgetOptions

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A built widget, as small as can be."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "kefu.js").write_text("start()")
    (tmp_path / "widget.html").write_text('<!doctype html>\n<html lang="en"></html>')
    (tmp_path / "demo.html").write_text("<!doctype html>")
    (tmp_path / "assets" / "chat-0a1b.js").write_text("chat()")
    (tmp_path / "manifest.json").write_text("{}")
    return tmp_path


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the gateway makes of a refusal."""
    try:
        return await handler(request)
    except RequestError as error:
        return web.json_response(error.body(), status=error.status)


async def open_client(aiohttp_client: AiohttpClient, dist: Path, *ancestors: str) -> Client:
    """A client of an application that serves these pages alone."""
    app = web.Application(middlewares=[answer_refusals])
    options = WidgetOptions(frame_ancestors=ancestors, max_file_bytes=1234)
    Pages(options, dist=dist).add_routes(app.router)
    return await aiohttp_client(app)


def directives(policy: str) -> dict[str, str]:
    """A Content-Security-Policy, taken apart."""
    parts = (part.strip().partition(" ") for part in policy.split(";"))
    return {name: value for name, _, value in parts}


async def test_the_chat_page_lets_in_no_inline_script_and_no_other_site(
    aiohttp_client: AiohttpClient, dist: Path
) -> None:
    client = await open_client(aiohttp_client, dist, "https://shop.example")
    response = await client.get("/widget/")
    policy = directives(response.headers["Content-Security-Policy"])
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["base-uri"] == policy["form-action"] == policy["font-src"] == "'none'"
    assert policy["frame-ancestors"] == "'self' https://shop.example"
    assert 'data-max-file-bytes="1234"' in await response.text()


@pytest.mark.parametrize("host", ["shop.example;script-src", "a b", "x'y", 'q"', "<x>"])
async def test_a_host_header_cannot_write_into_the_policy(
    aiohttp_client: AiohttpClient, dist: Path, host: str
) -> None:
    client = await open_client(aiohttp_client, dist)
    response = await client.get("/widget/", headers={"Host": host})
    policy = directives(response.headers["Content-Security-Policy"])
    assert policy["connect-src"] == "'self'"
    assert policy["script-src"] == "'self'"


async def test_the_demo_shop_keeps_a_strict_policy_itself(
    aiohttp_client: AiohttpClient, dist: Path
) -> None:
    client = await open_client(aiohttp_client, dist)
    response = await client.get("/demo")
    policy = directives(response.headers["Content-Security-Policy"])
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["frame-src"] == "'self'"
    assert "unsafe" not in response.headers["Content-Security-Policy"]


async def test_the_launcher_is_cached_for_minutes_and_its_assets_for_good(
    aiohttp_client: AiohttpClient, dist: Path
) -> None:
    client = await open_client(aiohttp_client, dist)
    launcher = await client.get("/kefu.js")
    assert launcher.headers["Cache-Control"] == "public, max-age=300"
    assert launcher.content_type == "text/javascript"
    again = await client.get("/kefu.js", headers={"If-None-Match": launcher.headers["ETag"]})
    assert again.status == 304
    assert await again.read() == b""
    asset = await client.get("/widget/assets/chat-0a1b.js")
    assert "immutable" in asset.headers["Cache-Control"]


async def test_who_takes_gzip_gets_it(aiohttp_client: AiohttpClient, dist: Path) -> None:
    client = await open_client(aiohttp_client, dist)
    client.session._auto_decompress = False
    squeezed = await client.get("/kefu.js", headers={"Accept-Encoding": "gzip"})
    assert squeezed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(await squeezed.read()) == b"start()"
    as_is = await client.get("/kefu.js", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in as_is.headers
    assert await as_is.read() == b"start()"


@pytest.mark.parametrize(
    "name", ["other.js", "..%2Fkefu.js", "..%2F..%2Fpages.py", "%2Fetc%2Fpasswd", "manifest.json"]
)
async def test_only_the_widgets_own_files_are_served(
    aiohttp_client: AiohttpClient, dist: Path, name: str
) -> None:
    client = await open_client(aiohttp_client, dist)
    response = await client.get(f"/widget/assets/{name}")
    assert response.status == 404


async def test_without_the_slash_one_is_sent_to_the_chat(
    aiohttp_client: AiohttpClient, dist: Path
) -> None:
    client = await open_client(aiohttp_client, dist)
    response = await client.get("/widget?locale=zh", allow_redirects=False)
    assert response.status == 301
    assert response.headers["Location"] == "widget/?locale=zh"


async def test_a_widget_that_is_not_built_names_the_command_and_comes_when_it_is(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    client = await open_client(aiohttp_client, tmp_path)
    response = await client.get("/widget/")
    assert response.status == 503
    assert "kefu prepare" in (await response.json())["error"]["remedy"]
    (tmp_path / "widget.html").write_text("<!doctype html>")
    assert (await client.get("/widget/")).status == 200
