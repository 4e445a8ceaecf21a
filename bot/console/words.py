"""The console's words, English and Chinese side by side, one file for each area."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

Locale = Literal["en", "zh"]
LOCALES: tuple[Locale, ...] = ("en", "zh")
_FOLDER = Path(__file__).parent / "words"


@dataclass(frozen=True, slots=True)
class Words:
    """Looks words up in one language."""

    locale: Locale

    def __call__(self, key: str, **values: Any) -> str:
        """The words under `area.key`, with their placeholders filled; raises KeyError."""
        text = catalogue()[key][self.locale]
        return text.format(**values) if values else text

    def has(self, key: str) -> bool:
        """Whether there are such words."""
        return key in catalogue()

    def of(self, group: str, name: str | None) -> str:
        """The words for a name of the data, such as an emotion; the name itself without any."""
        if not name:
            return "–"
        key = f"{group}.{name}"
        return self(key) if self.has(key) else name.replace("_", " ")


@cache
def catalogue() -> Mapping[str, Mapping[Locale, str]]:
    """All words by `area.key`; raises ValueError for a file that lacks a language."""
    found: dict[str, Mapping[Locale, str]] = {}
    for path in sorted(_FOLDER.glob("*.yml")):
        for key, texts in (yaml.safe_load(path.read_text("utf-8")) or {}).items():
            if not isinstance(texts, dict) or set(texts) != set(LOCALES):
                raise ValueError(f"{path.name}: {key} needs a text for each of {LOCALES}")
            found[f"{path.stem}.{key}"] = {locale: str(texts[locale]) for locale in LOCALES}
    return found


def choose_locale(preferred: str | None, accept_language: str) -> Locale:
    """A person's own choice, else the browser's first language that we have, else English."""
    for tag in (preferred or "", *accept_language.split(",")):
        start = tag.split(";")[0].strip().lower()[:2]
        for locale in LOCALES:
            if start == locale:
                return locale
    return "en"
