"""The proof as one page: no script, nothing from outside, texts looked up while it is made."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bot.learning.proof import charts

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = "proof.css"
# Changed predictions that are shown; the file has all.
LISTED = 200

TextOf = Callable[[str], str | None]


def render(kept: Mapping[str, Any], *, text_of: TextOf) -> str:
    """The page of a proof as `Proof.as_json` or `read_proof` gives it.

    `text_of` tells the text of a turn, or None where the log has it no longer.
    """
    style = _style()
    shown = kept["shadow"]["changes"][:LISTED]
    return (
        _environment()
        .get_template("proof.html")
        .render(
            proof=kept,
            verdict=kept["verdict"],
            shadow=kept["shadow"],
            figures=kept["figures"],
            changes=[dict(change, text=text_of(change["turn_id"])) for change in shown],
            intervals=charts.intervals(kept["figures"]["accuracy"]),
            reliability=charts.reliability(kept["figures"]["reliability"]),
            moves=charts.moves(kept["figures"]["intents"]),
            policy=policy(),
            # Read from our own folder: no value from anywhere else is in it.
            style=Markup(style),
        )
    )


def policy() -> str:
    """The Content-Security-Policy under which the page looks as it should."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _style() -> str:
    return (_TEMPLATES / _STYLE).read_text("utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{share:.1%}"
    environment.filters["sure"] = lambda confidence: f"{confidence:.2f}"
    return environment
