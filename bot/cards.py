"""Cards: the custom payload `{"cards": [{"title", "subtitle", "image", "buttons"}]}` of a reply."""

from collections.abc import Mapping
from typing import Any


def cards_of(extra: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The cards in a message's `extra`; what is not of this form is no card."""
    custom = (extra or {}).get("custom")
    cards = custom.get("cards") if isinstance(custom, dict) else None
    return [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []


def buttons_under(
    buttons: list[dict[str, Any]] | None, extra: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """The buttons of a message and then those of its cards, each with a payload."""
    found = list(buttons or ())
    for card in cards_of(extra):
        more = card.get("buttons")
        found += more if isinstance(more, list) else []
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("payload"), str)]


def cards_as_text(extra: Mapping[str, Any] | None) -> str:
    """The cards for platforms without any: title, subtitle, image address; a paragraph each."""
    paragraphs = []
    for card in cards_of(extra):
        lines = [card.get(name) for name in ("title", "subtitle", "image")]
        paragraphs.append("\n".join(line for line in lines if isinstance(line, str) and line))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
