"""Which words of a text speak for its intent: what the confidence loses without each of them."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nlu.understanding import Meaning

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_MOST_WORDS = 40

Run = Callable[[Sequence[str]], Awaitable[list[Meaning]]]


async def explain(text: str, run: Run) -> dict[str, Any]:
    """{"intent", "words": [{"start", "end", "text", "weight"}]}; later words than 40 are left out.

    The method is occlusion (Zeiler and Fergus, 2014): a word's weight is the confidence of the
    intent with the whole text, less the confidence with the word left out.
    """
    words = [match.span() for match in _WORD.finditer(text)][:_MOST_WORDS]
    variants = [text[:start] + text[end:] for start, end in words]
    whole, *without = await run([text, *variants])
    if not whole.intents:
        return {"intent": None, "words": []}
    intent, confidence = whole.intents[0]
    return {
        "intent": intent,
        "words": [
            {
                "start": start,
                "end": end,
                "text": text[start:end],
                "weight": round(confidence - dict(meaning.intents)[intent], 4),
            }
            for (start, end), meaning in zip(words, without, strict=True)
        ],
    }
