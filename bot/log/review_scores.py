"""What a turn would teach, told from the turn alone: reasons with scores, keys, lotteries."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

FALLBACK = "nlu_fallback"
EMERGING = "emerging"
PROOF = "proof"

# In the order in which one of them gives a turn its place: what is rarer says more.
REASONS = (
    PROOF,
    "low_rating",
    EMERGING,
    "disagreement",
    "label_error",
    "fallback",
    "diversity",
    "uncertainty",
    "spare",
)
# Drawn by lot from all turns whatever else speaks for them: the baseline that others are
# measured against must not be chosen.
RANDOM = "random"
# Opened by somebody, not shown by the queue.
OPENED = "opened"

RANDOM_SHARE = 0.01
SPARE_SHARE = 0.03
# Below this margin between the two best intents a turn is uncertain.
UNSURE_MARGIN = 0.6
_WORD = re.compile(r"[^\W_]+")

Row = Mapping[str, Any]


def is_reviewable(text: str) -> bool:
    """Whether there are words of a customer's to label: no pressed button, no lone file."""
    return not text.lstrip().startswith("/") and _WORD.search(text) is not None


def text_key(text: str) -> str:
    """The same for texts that differ only in case, digits, punctuation and spaces."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = _WORD.findall(re.sub(r"\d+", "0", plain))
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:32]


def lot(turn_id: str, purpose: str) -> float:
    """A number from 0 to 1 that is chance, and the same each time it is asked for."""
    digest = hashlib.sha256(f"{purpose}:{turn_id}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def probabilities(ranking: Sequence[Row] | None) -> dict[str, float]:
    """The model's probability of each intent that is in a stored ranking."""
    return {
        str(item["name"]): float(item.get("confidence") or 0.0)
        for item in ranking or ()
        if item.get("name") not in (None, FALLBACK)
    }


def margin(ranking: Sequence[Row] | None) -> float | None:
    """How far the best intent is before the second; None without a ranking."""
    found = sorted(probabilities(ranking).values(), reverse=True)
    if not found:
        return None
    return found[0] - (found[1] if len(found) > 1 else 0.0)


def own_reasons(turn: Row) -> dict[str, float]:
    """What speaks for a turn by itself, each from 0 to 1; empty for one that went smoothly."""
    reasons: dict[str, float] = {}
    gap = margin(turn["ranking"])
    if gap is not None and gap < UNSURE_MARGIN:
        reasons["uncertainty"] = round(1 - gap, 4)
    if turn["intent"] == FALLBACK:
        reasons["fallback"] = 0.7
    if _had_no_answer(turn):
        reasons["fallback"] = 0.8
    return reasons


def primary(reasons: Mapping[str, float], *, drawn: bool = False) -> tuple[str, float]:
    """The reason that gives a turn its place, and how much speaks for it in all."""
    if drawn:
        return RANDOM, reasons.get(RANDOM, 0.0)
    for name in REASONS:
        if name in reasons:
            others = sum(score for reason, score in reasons.items() if reason != name)
            return name, round(min(1.0, reasons[name] + 0.1 * others), 4)
    return OPENED, 0.0


def _had_no_answer(turn: Row) -> bool:
    if "action_answer" not in (turn["actions"] or ()) or turn["qa_pair_id"] is not None:
        return False
    return not any(
        (reply.get("metadata") or {}).get("qa_offered") for reply in turn["replies"] or ()
    )
