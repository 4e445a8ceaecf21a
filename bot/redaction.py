"""Takes personal data out of texts: e-mail, phone, card, bank account and identity numbers."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import accumulate
from typing import Any

# Anything worth a closer look: an @, seven digits with little between them, or the shape of a UK
# National Insurance number. Most messages have none, order numbers (six digits) included, and cost
# one scan.
_TRIGGER = re.compile(r"@|\d(?:\D{0,3}\d){6}|[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]\b", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+%'-]{1,64} ?@ ?[\w-]{1,63}(?:\.[\w-]{1,63})+")
_LONG_NUMBER = re.compile(r"\+?\(?\d(?:[ ().\-/]{0,3}\d){8,}")

Checker = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _Shape:
    """A candidate pattern, the library's checker that confirms it, and what to write instead."""

    label: str
    pattern: re.Pattern[str]
    checker: str | None


def _shape(label: str, pattern: str, checker: str | None) -> _Shape:
    return _Shape(label, re.compile(rf"(?<![\w+]){pattern}(?!\w)", re.IGNORECASE), checker)


# In the order tried: the first to claim a span keeps it.
_SHAPES = (
    _shape("bank_account", r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8}", "stdnum.iban"),
    _shape("id_number", r"\d{17}[\dX]", "stdnum.cn.ric"),
    _shape("id_number", r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}", "stdnum.fr.nir"),
    _shape("id_number", r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]", "stdnum.it.codicefiscale"),
    _shape("id_number", r"\d{8}-?[A-Z]", "stdnum.es.dni"),
    _shape("id_number", r"[XYZ]-?\d{7}-?[A-Z]", "stdnum.es.nie"),
    _shape("card", r"[2-6]\d{3}(?:[ -]?\d){9,15}", "stdnum.luhn"),
    _shape("id_number", r"\d{3}[- ]\d{2}[- ]\d{4}", "stdnum.us.ssn"),
    _shape("id_number", r"\d{3}[- ]?\d{3}[- ]?\d{4}", "stdnum.gb.nhs"),
    # UK National Insurance: no check digit exists, the prefix rules are the check. Either no spaces
    # or all of them: "my 482913 a bit late" is an order.
    _shape(
        "id_number",
        r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
        r"(?:\d{6}| \d\d \d\d \d\d )[A-D]",
        None,
    ),
)
# Fewer digits are order numbers, postcodes and dates rather than phone numbers.
_PHONE_DIGITS = 9


@dataclass(frozen=True, kw_only=True)
class Redacted:
    """A text without personal data, and how to carry offsets of the old text over to it."""

    text: str
    # Of the original text: start, end, and the length of what stands there now.
    spans: tuple[tuple[int, int, int], ...] = ()

    @cached_property
    def _starts(self) -> list[int]:
        return [start for start, _, _ in self.spans]

    @cached_property
    def _shifts(self) -> list[int]:
        return list(accumulate(length - (end - start) for start, end, length in self.spans))

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where a span of the original lies now; one that cuts into redacted text covers it."""
        return self._move(start, after=False), self._move(end, after=True)

    def touches(self, start: int, end: int) -> bool:
        """Whether a span of the original overlaps what was redacted."""
        return any(begin < end and start < stop for begin, stop, _ in self.spans)

    def _move(self, offset: int, *, after: bool) -> int:
        index = bisect_right(self._starts, offset - 1 if after else offset) - 1
        if index < 0:
            return offset
        start, end, length = self.spans[index]
        shift = self._shifts[index]
        if offset >= end:
            return offset + shift
        before = start + (self._shifts[index - 1] if index else 0)
        return before + length if after else before


class Redactor:
    """Finds personal data with phonenumbers and python-stdnum.

    The first region's phone numbers are taken when merely possible, the others' when valid:
    "482913 482914" is a possible number somewhere, and two orders here. What `keep` names (the
    company's own phone and addresses) stays.
    """

    def __init__(
        self, regions: Iterable[str] = ("GB", "US", "CN"), keep: Iterable[str] = ()
    ) -> None:
        self._regions = tuple(regions)
        self._keep = frozenset(_bare(item) for item in keep)
        self._checkers: dict[str, Checker] = {}

    def redact(self, text: str) -> Redacted:
        """The text with each finding replaced by its label, such as `<email>`."""
        plain = text if text.isascii() else "".join(map(_fold, text))
        if _TRIGGER.search(plain) is None:
            return Redacted(text=text)
        taken: list[tuple[int, int, str]] = []
        for start, end, label in self._findings(plain):
            if any(start < other_end and other_start < end for other_start, other_end, _ in taken):
                continue
            if _bare(plain[start:end]) not in self._keep:
                taken.append((start, end, f"<{label}>"))
        if not taken:
            return Redacted(text=text)
        taken.sort()
        parts: list[str] = []
        position = 0
        for start, end, label in taken:
            parts += (text[position:start], label)
            position = end
        parts.append(text[position:])
        return Redacted(
            text="".join(parts),
            spans=tuple((start, end, len(label)) for start, end, label in taken),
        )

    def redact_value(self, value: Any) -> Any:
        """The same for every string inside a JSON value."""
        if isinstance(value, str):
            return self.redact(value).text
        if isinstance(value, list):
            return [self.redact_value(item) for item in value]
        if isinstance(value, dict):
            return {key: self.redact_value(item) for key, item in value.items()}
        return value

    def _findings(self, text: str) -> Iterator[tuple[int, int, str]]:
        if "@" in text:
            for match in _EMAIL.finditer(text):
                yield match.start(), match.end(), "email"
        for shape in _SHAPES:
            for match in shape.pattern.finditer(text):
                end = self._confirm(shape.checker, match)
                if end is not None:
                    yield match.start(), end, shape.label
        if _LONG_NUMBER.search(text):
            yield from self._phones(text)

    def _confirm(self, checker: str | None, match: re.Match[str]) -> int | None:
        """Where the confirmed number ends: words after an IBAN look like more of it."""
        if checker is None:
            return match.end()
        is_valid = self._checkers.get(checker)
        if is_valid is None:
            is_valid = self._checkers[checker] = import_module(checker).is_valid
        candidate = match.group()
        while True:
            if is_valid(re.sub(r"[ -]", "", candidate)):
                return match.start() + len(candidate)
            if checker != "stdnum.iban" or " " not in candidate:
                return None
            candidate = candidate.rsplit(" ", 1)[0]

    def _phones(self, text: str) -> Iterator[tuple[int, int, str]]:
        from phonenumbers import Leniency, PhoneNumberMatcher

        for position, region in enumerate(self._regions):
            leniency = Leniency.VALID if position else Leniency.POSSIBLE
            # The number of tries bounds the time that a text of nothing but digits can take.
            for match in PhoneNumberMatcher(text, region, leniency, max_tries=50):
                if sum(map(str.isdigit, match.raw_string)) >= _PHONE_DIGITS:
                    yield match.start, match.end, "phone"


def _fold(char: str) -> str:
    """One character as ASCII where it is a digit or sign in another script; lengths stay."""
    if char < "\x80":
        return char
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    plain = unicodedata.normalize("NFKC", char)
    return plain if len(plain) == 1 else char


def _bare(text: str) -> str:
    return re.sub(r"[\s().\-/]", "", text).casefold()
