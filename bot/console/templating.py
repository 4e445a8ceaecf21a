"""Jinja2 for the console: every value is escaped, an unknown name is an error."""

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.web.build import DIST

_TEMPLATES = Path(__file__).parent / "templates"


def open_templates() -> Environment:
    """The environment that all pages share."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset
    environment.filters["iso"] = _iso
    environment.filters["percent"] = _percent
    environment.filters["query"] = _query
    environment.filters["score"] = _score
    return environment


def asset(name: str) -> str:
    """The address of a built file of the console, such as `console.js`."""
    return f"/console/assets/{_names().get(name, name)}"


@cache
def _names() -> dict[str, str]:
    try:
        names: dict[str, str] = json.loads((DIST / "manifest.json").read_text("utf-8"))
    except OSError:
        return {}
    return names


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _query(fields: dict[str, Any]) -> str:
    """A query string of the fields that hold something."""
    return urlencode({name: value for name, value in fields.items() if value not in (None, "")})
