"""Cuts texts into the words that a search compares: letters and digits, Chinese in pairs."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass

MOST_WORDS = 2000
MOST_TERMS = 12
LONGEST_WORD = 64
# Shorter beginnings have too many words: their star is taken for nothing.
LEAST_BEGINNING = 3

_WORD = re.compile(r"[^\W_]+")
# Scripts that are written without spaces: Han, and the Japanese syllables.
_UNSPACED = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PARTS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Term:
    """A word that is looked for; with `starts`, any word that begins so."""

    word: str
    starts: bool = False


def words_of(texts: Iterable[str | None]) -> list[str]:
    """The different words of texts, in the order they first come.

    Text without spaces gives every two neighbouring characters, and the last one alone: so a
    single character is found as the beginning of a word.
    """
    found: dict[str, None] = {}
    for text in texts:
        for part in _parts(text or ""):
            if not part.isascii() and _IS_UNSPACED.match(part):
                for place in range(len(part)):
                    found[part[place : place + 2]] = None
            else:
                found[part[:LONGEST_WORD]] = None
            if len(found) >= MOST_WORDS:
                return list(found)
    return list(found)


def terms_of(query: str) -> tuple[Term, ...]:
    """What a query asks for, all of it; `refund*` is any word that begins with refund."""
    terms: dict[Term, None] = {}
    folded = unicodedata.normalize("NFKC", query).casefold()
    for match in _WORD.finditer(folded):
        starred = folded[match.end() : match.end() + 1] == "*"
        parts = _PARTS.findall(match.group())
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            if _IS_UNSPACED.match(part):
                if len(part) == 1:
                    terms[Term(part, starts=True)] = None
                for place in range(len(part) - 1):
                    terms[Term(part[place : place + 2])] = None
            else:
                starts = starred and last and len(part) >= LEAST_BEGINNING
                terms[Term(part[:LONGEST_WORD], starts=starts)] = None
    return tuple(terms)[:MOST_TERMS]


def matches(terms: Iterable[Term], words: Collection[str]) -> bool:
    """Whether a text with these words has all terms."""
    return all(
        any(word.startswith(term.word) for word in words) if term.starts else term.word in words
        for term in terms
    )


def _parts(text: str) -> Iterable[str]:
    if text.isascii():
        yield from _WORD.findall(text.lower())
        return
    folded = unicodedata.normalize("NFKC", text).casefold()
    for match in _WORD.finditer(folded):
        yield from _PARTS.findall(match.group())
