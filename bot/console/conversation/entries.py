"""The entries of a transcript as the templates show them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from bot.cards import buttons_under
from bot.http.file_links import FileLinks
from bot.log.surroundings import Surroundings
from bot.log.voice_labels import UPSET

Row = dict[str, Any]
# So many of the last feelings make the trend.
_LATEST = 5


def shown(entry: Row, links: FileLinks) -> Row:
    """An entry with its files under signed addresses, and addresses only where they are safe."""
    if entry["kind"] == "note":
        return entry
    extra = entry["extra"] or {}
    return entry | {
        "files": links.show(entry["attachments"] or ()),
        "titles": [
            str(button["title"])
            for button in buttons_under(entry["buttons"], extra)
            if isinstance(button, dict) and button.get("title")
        ],
        "image": extra.get("image"),
        "image_link": safe_link(extra.get("image")),
        "custom": extra.get("custom") or extra.get("attachment"),
        "pressed": (entry["metadata"] or {}).get("title"),
        # Until its turn is done there is more to come of it.
        "pending": entry["author"] == "customer" and entry["state"] == "accepted",
    }


def safe_link(address: object) -> str | None:
    """The address, if it plainly is one of a web page."""
    if not isinstance(address, str) or not address.isprintable():
        return None
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return address if parts.scheme in ("http", "https") and parts.netloc else None


def trend(surroundings: Surroundings) -> Row:
    """How the customer feels lately: `last`, and how many of the `latest` are negative."""
    names: Sequence[str] = [one["emotion"] for one in surroundings.feelings]
    latest = names[-_LATEST:]
    return {
        "last": names[-1] if names else None,
        "latest": len(latest),
        "negative": sum(name in UPSET for name in latest),
    }
