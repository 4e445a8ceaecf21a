"""Serves the description of the API."""

from importlib.resources import files
from typing import Any

import yaml
from aiohttp import web

PATH = "/openapi.json"


class Description:
    """GET /openapi.json."""

    def __init__(self, max_text_chars: int) -> None:
        self._description = describe(max_text_chars)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the route into an application's router."""
        router.add_get(PATH, self.read)

    async def read(self, request: web.Request) -> web.Response:
        """The description as it holds for this gateway."""
        return web.json_response(self._description)


def describe(max_text_chars: int) -> dict[str, Any]:
    """The description in `bot/openapi.yml`, with the limit that a setting changes."""
    text = files("bot").joinpath("openapi.yml").read_text(encoding="utf-8")
    # In C: in Python it takes half a second of every start.
    described = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert isinstance(described, dict)
    schemas = described["components"]["schemas"]
    schemas["NewMessage"]["properties"]["text"]["maxLength"] = max_text_chars
    schemas["RasaMessage"]["properties"]["message"]["maxLength"] = max_text_chars
    return described
