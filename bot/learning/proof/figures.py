"""The figures that a proof shows beside its verdict: by intent, reliability, confusions."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from bot.learning.proof.evidence import Paired
from bot.learning.proof.statistics import reliability, wilson

_CONFUSIONS = 10


def by_label(texts: Paired) -> list[dict[str, Any]]:
    """Recall of each label that any text has, before and after, with intervals; by name."""
    found = []
    before, after = texts.champion_right, texts.challenger_right
    for name in texts.names:
        within = texts.of_label(name)
        n = int(within.sum())
        if n == 0:
            continue
        right = [int(side[within].sum()) for side in (before, after)]
        gained, lost = texts.changes(within)
        found.append(
            {
                "name": name,
                "n": n,
                "champion": round(right[0] / n, 4),
                "challenger": round(right[1] / n, 4),
                "champion_interval": [round(bound, 4) for bound in wilson(right[0], n)],
                "challenger_interval": [round(bound, 4) for bound in wilson(right[1], n)],
                "gained": gained,
                "lost": lost,
            }
        )
    return found


def by_set(texts: Paired) -> list[dict[str, Any]]:
    """Accuracy of both sides over all texts, the frozen ones and the new ones, with intervals."""
    found = []
    everything = texts.frozen | ~texts.frozen
    for name, within in (
        ("all", everything),
        ("frozen", texts.frozen),
        ("new", ~texts.frozen),
    ):
        n = int(within.sum())
        if n == 0:
            continue
        row: dict[str, Any] = {"name": name, "n": n}
        for side, rights in (
            ("champion", texts.champion_right),
            ("challenger", texts.challenger_right),
        ):
            right = int(rights[within].sum())
            low, high = wilson(right, n)
            row[side] = {"share": round(right / n, 4), "low": round(low, 4), "high": round(high, 4)}
        found.append(row)
    return found


def bins(texts: Paired) -> dict[str, list[dict[str, Any]]]:
    """The reliability diagram of both sides."""
    return {
        "champion": [
            asdict(one) for one in reliability(texts.champion_confidence, texts.champion_right)
        ],
        "challenger": [
            asdict(one) for one in reliability(texts.challenger_confidence, texts.challenger_right)
        ],
    }


def confusions(texts: Paired) -> list[dict[str, Any]]:
    """What the challenger takes for what and the champion did not, most often first."""
    wrong = texts.challenger != texts.truth
    new = wrong & (texts.challenger != texts.champion)
    counts = Counter(
        (int(truth), int(guess))
        for truth, guess in zip(texts.truth[new], texts.challenger[new], strict=True)
    )
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_CONFUSIONS]
    return [
        {
            "truth": texts.names[truth],
            "guess": texts.names[guess] if guess >= 0 else None,
            "count": count,
        }
        for (truth, guess), count in ordered
    ]
