"""A few kind words before an answer, when a customer has just become upset."""

import zlib

from actions.turn import Turn

_WORDS = {
    "angry": (
        "I'm sorry for the trouble. Here is what I can tell you.",
        "I understand that this is annoying, so straight to the point:",
        "I'm sorry that it has come to this.",
    ),
    "anxious": (
        "No need to worry, we'll sort it out.",
        "I see that this is on your mind; here is how it works.",
        "Don't worry, this is quickly explained.",
    ),
    "disappointed": (
        "I'm sorry that we've let you down.",
        "That's not how it should be, I'm sorry.",
        "I understand that this is disappointing.",
    ),
}


def acknowledgement(turn: Turn) -> str | None:
    """The words to begin with; None when calm, or when sympathy was shown a moment ago.

    The same message always gets the same words, so a repeated turn repeats its answer.
    """
    words = _WORDS.get(turn.emotion)
    if words is None or not turn.newly_upset or turn.sympathy_shown:
        return None
    return words[zlib.crc32(turn.key.encode()) % len(words)]


def with_acknowledgement(turn: Turn, text: str) -> str:
    """The text, after the acknowledgement if there is to be one."""
    words = acknowledgement(turn)
    return f"{words} {text}" if words else text
