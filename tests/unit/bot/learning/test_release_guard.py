"""The live guard on simulated conversations: how often it errs, and how soon it is right."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from bot.learning.release.evidence import evidence, together
from bot.learning.release.live_guard import ALPHA, ReleaseTerms, judge
from bot.learning.release.sides import HARMS, Side, Sides, divided, trial_of
from bot.log.trial_turns import Lived

START = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
TERMS = ReleaseTerms(canary_h=24, canary_conversations=200, share=0.1)
# What a conversation of a usual shop comes to, by harm.
USUAL = dict(zip(HARMS, (0.15, 0.05, 0.2, 0.03, 0.05, 0.005), strict=True))


def row(share: float = 0.1, **changes: Any) -> dict[str, Any]:
    """A canary's row."""
    return {
        "id": "p1",
        "version": "v2",
        "previous": "v1",
        "share": share,
        "created_at": START,
        "report": {"slow_ms": 100.0},
    } | changes


def sides(trial: dict[str, int], active: dict[str, int], n: tuple[int, int]) -> Sides:
    """Both sides with so many conversations, and so many of them with each harm."""
    both = Sides(active=Side(conversations=n[1]), trial=Side(conversations=n[0], served=n[0]))
    both.trial.events.update(trial)
    both.active.events.update(active)
    return both


def rolled_back_after(
    random: np.random.Generator, share: float, times: dict[str, float], most: int
) -> int | None:
    """A canary's life, looked at every 20 conversations; None where it is not rolled back."""
    usual = np.array([USUAL[harm] for harm in HARMS])
    worse = np.minimum(1.0, usual * np.array([times.get(harm, 1.0) for harm in HARMS]))
    fell = random.random(most) < share
    happened = random.random((most, len(HARMS))) < np.where(fell[:, None], worse, usual)
    of_trial = np.cumsum(happened & fell[:, None], axis=0)
    of_all = np.cumsum(happened, axis=0)
    for seen in range(19, most, 20):
        found = together(
            evidence(trial=int(x), total=int(n), share=share)
            for x, n in zip(of_trial[seen], of_all[seen], strict=True)
        )
        if found >= 1 / ALPHA:
            return seen + 1
    return None


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_canary_that_is_no_worse_is_rarely_rolled_back(share: float) -> None:
    random = np.random.default_rng(7)
    lives = [rolled_back_after(random, share, {}, 2_000) for _ in range(60)]
    # The bound is 5 %: nine or more of sixty would be a wonder (p < 0.005).
    assert sum(life is not None for life in lives) < 9


@pytest.mark.parametrize(
    ("times", "share", "within"),
    [
        ({"fallback": 3.0}, 0.1, 1_100),
        ({"handoff": 4.0}, 0.1, 1_200),
        ({"upset": 2.0}, 0.1, 2_500),
        ({"error": 20.0}, 0.1, 1_200),
        ({"fallback": 3.0}, 0.5, 400),
    ],
)
def test_a_canary_that_is_clearly_worse_is_rolled_back_early(
    times: dict[str, float], share: float, within: int
) -> None:
    random = np.random.default_rng(7)
    lives = [rolled_back_after(random, share, times, 3_000) for _ in range(20)]
    assert sum(life is not None and life <= within for life in lives) >= 18


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.02, 0.9))
def test_more_harm_of_the_trial_is_more_evidence(trial: int, others: int, share: float) -> None:
    found = evidence(trial=trial, total=trial + others, share=share)
    assert evidence(trial=trial + 1, total=trial + others + 1, share=share) > found
    assert evidence(trial=trial, total=trial + others + 1, share=share) < found


@settings(deadline=None)
@given(st.integers(1, 12), st.floats(0.05, 0.9))
def test_evidence_is_a_martingale(total: int, share: float) -> None:
    """One on average after any number of harms, when the draw alone decides."""
    mean = sum(
        binom.pmf(x, total, share) * evidence(trial=x, total=total, share=share)
        for x in range(total + 1)
    )
    assert mean == pytest.approx(1.0)


def test_nothing_says_nothing() -> None:
    assert evidence(trial=0, total=0, share=0.1) == 1.0


def test_harm_rolls_back_whatever_the_hour_and_says_what() -> None:
    worse = sides({"fallback": 40}, {"fallback": 60}, (100, 900))
    judged = judge(row(), worse, TERMS, START + timedelta(minutes=5))
    assert judged.decision == "roll_back"
    assert judged.reason == (
        "more messages that were not understood: 40.0% of 100 conversations, 6.7% of 900 others"
    )
    assert judged.report["evidence"]["fallback"] > 1_000
    assert judged.report["sides"]["trial"]["harms"]["fallback"] == 40


@pytest.mark.parametrize(
    ("hours", "served", "decision"),
    [(23.9, 900, "wait"), (24.1, 199, "wait"), (24.1, 200, "promote"), (90, 0, "wait")],
)
def test_what_is_no_worse_goes_to_everyone_when_it_has_shown_enough(
    hours: float, served: int, decision: str
) -> None:
    same = sides({"fallback": 10}, {"fallback": 90}, (900, 8_000))
    same.trial.served = served
    judged = judge(row(), same, TERMS, START + timedelta(hours=hours))
    assert judged.decision == decision


def test_what_is_in_doubt_does_not_go_to_everyone() -> None:
    doubtful = sides({"upset": 30}, {"upset": 130}, (300, 2_700))
    judged = judge(row(), doubtful, TERMS, START + timedelta(hours=30))
    assert 4 <= judged.report["evidence_together"] < 20
    assert (judged.decision, judged.reason[:27]) == ("wait", "in doubt for upset customer")


def test_conversations_are_divided_by_the_draw_not_by_who_answered() -> None:
    trial = trial_of(row(share=0.5))
    lived = [
        Lived(
            conversation_id=f"c{number}",
            served=False,
            events=frozenset({"error"}),
            rating=None,
            rated=False,
            understanding_ms=None,
        )
        for number in range(200)
    ]
    found = divided(trial, lived)
    assert found.trial.conversations == sum(trial.covers(one.conversation_id) for one in lived)
    assert 70 < found.trial.conversations < 130
    assert (found.trial.served, found.trial.events["error"]) == (0, found.trial.conversations)
