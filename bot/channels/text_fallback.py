"""Says in plain text what a platform cannot show, and cuts what is too long for it."""

import re
import unicodedata
from collections.abc import Callable

from bot.channels.channel import Outgoing

# Where a text is best cut, the best first. Beyond the first third of what fits, except for a space.
_CUTS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"[.!?…]+[\"')\]»”’]*\s+|[。！？…]+[」』”）]*"),
    re.compile(r"\s+"),
)
_ZERO_WIDTH_JOINER = "\u200d"


def as_text(outgoing: Outgoing) -> str:
    """The whole message as text: buttons as numbered lines, image and files by address."""
    blocks = [outgoing.text or ""]
    blocks.append(
        "\n".join(
            f"{number}. {button.get('title') or button.get('payload') or ''}"
            for number, button in enumerate(outgoing.buttons, 1)
        )
    )
    blocks.append("\n".join(addresses(outgoing)))
    return "\n\n".join(block for block in blocks if block.strip())


def addresses(outgoing: Outgoing) -> list[str]:
    """A line for the image and for each file; a file without a public address by its name."""
    lines = [outgoing.image] if outgoing.image else []
    return lines + [file_line(attachment) for attachment in outgoing.attachments]


def file_line(attachment: dict[str, object]) -> str:
    """A file's name and, where it is public, its address."""
    name = str(attachment.get("name") or attachment.get("kind") or "file")
    url = str(attachment.get("url") or "")
    return f"{name}: {url}" if url.startswith(("https://", "http://")) else name


def utf16_length(text: str) -> int:
    """How long a text is to a platform that counts UTF-16 code units."""
    return len(text) + sum(char > "\uffff" for char in text)


def split_text(text: str, limit: int, size: Callable[[str], int] = len) -> list[str]:
    """The text in pieces of at most `limit`, as `size` measures them; nothing but white space at
    the cuts is left out.

    Cut at the end of a paragraph, else of a line, a sentence, a word; where there is no such end,
    between characters as people see them (never inside an emoji or before an accent).
    """
    pieces = []
    while size(text) > limit:
        fits = _longest_prefix(text, limit, size)
        cut = _best_cut(text, fits)
        pieces.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    pieces.append(text)
    return [piece for piece in pieces if piece.strip()]


def _longest_prefix(text: str, limit: int, size: Callable[[str], int]) -> int:
    """How many characters fit; at least one, so that cutting comes to an end."""
    low, high = 1, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        if size(text[:middle]) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


def _best_cut(text: str, fits: int) -> int:
    # One character more is looked at: a white space there makes a cut right at the end.
    window = text[: fits + 1]
    for pattern in _CUTS:
        ends = [match.start() + len(match[0].rstrip()) for match in pattern.finditer(window)]
        least = 1 if pattern is _CUTS[-1] else fits // 3
        good = [end for end in ends if least <= end <= fits]
        if good:
            return good[-1]
    for cut in range(fits, 0, -1):
        if not _belongs_together(text, cut):
            return cut
    return fits


def _belongs_together(text: str, cut: int) -> bool:
    """Whether a cut there would go through one character as people see it."""
    if cut >= len(text):
        return False
    before, after = text[cut - 1], text[cut]
    if after == _ZERO_WIDTH_JOINER or before == _ZERO_WIDTH_JOINER or before + after == "\r\n":
        return True
    if unicodedata.category(after).startswith("M") or _is_skin_tone(after):
        return True
    if _is_hangul_part(after):
        return _is_hangul(before)
    if _is_flag_half(after):
        # Flags are pairs: how many halves stand before the cut tells whether it is inside one.
        halves = 0
        while halves < cut and _is_flag_half(text[cut - 1 - halves]):
            halves += 1
        return halves % 2 == 1
    return False


def _is_skin_tone(char: str) -> bool:
    return "\U0001f3fb" <= char <= "\U0001f3ff"


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_hangul_part(char: str) -> bool:
    return "\u1160" <= char <= "\u11ff"


def _is_hangul(char: str) -> bool:
    return "\u1100" <= char <= "\u11ff" or "\uac00" <= char <= "\ud7a3"
