"""A text as words that can be marked, and letters that stand for names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Scripts without spaces between words are marked character by character.
_UNSPACED = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_EDGE = re.compile(r"^([^\w<]*)(.*?)([^\w>]*)$", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """`text[start:end]`, and what stands between it and the word before."""

    start: int
    end: int
    text: str
    before: str = ""


def words_of(text: str) -> list[Word]:
    """The words of a text in code points, punctuation at their edges by itself."""
    found: list[Word] = []
    position = 0
    for token in _TOKEN.finditer(text):
        edges = _EDGE.match(token.group())
        parts = edges.groups() if edges is not None else (token.group(),)
        start = token.start()
        for part in parts:
            if part:
                found.append(
                    Word(start=start, end=start + len(part), text=part, before=text[position:start])
                )
                start += len(part)
                position = start
    return found


def letters_for(names: Sequence[str]) -> dict[str, str]:
    """A letter for each name to press: its first where it can be, else one nobody begins with."""
    letters: dict[str, str] = {}
    firsts = {name[:1].lower() for name in names}
    for name in names:
        taken = set(letters.values())
        first = name[:1].lower()
        rest = [char for char in name.lower() if char.isascii() and char.isalpha()]
        free = [char for char in rest if char not in taken and char not in firsts]
        anything = [char for char in "abcdefghijklmnopqrstuvwxyz" if char not in taken | firsts]
        if first.isascii() and first.isalpha() and first not in taken:
            letters[name] = first
        elif free or anything:
            letters[name] = (free or anything)[0]
    return letters
