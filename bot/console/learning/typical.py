"""The words that a group of messages has more often than the other groups."""

import math
from collections import Counter
from collections.abc import Sequence

from bot.log.search_terms import words_of

SHOWN = 6
# In so large a share of a group a word must be to stand for it.
SHARE = 0.3


def typical_words(groups: Sequence[Sequence[str]]) -> list[list[str]]:
    """For each group of texts its words, the most telling first.

    By the share of the group's texts that have a word, and how rare it is in the other groups.
    """
    counts = [Counter(word for text in texts for word in words_of([text])) for texts in groups]
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    texts_in_all = sum(len(texts) for texts in groups)
    found = []
    for texts, count in zip(groups, counts, strict=True):
        others = texts_in_all - len(texts)
        scores = {
            word: _telling(within / len(texts), (total[word] - within + 0.5) / (others + 1))
            for word, within in count.items()
            if within >= 2 and within / len(texts) >= SHARE and len(word) > 1
        }
        ordered = sorted(scores, key=lambda word: (-scores[word], word))
        found.append([word for word in ordered if scores[word] > 0][:SHOWN])
    return found


def _telling(inside: float, outside: float) -> float:
    """How much a word's share inside says, given its share outside."""
    return inside * math.log(inside / outside)
