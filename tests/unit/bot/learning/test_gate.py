"""The gate on itself, small: what is alike is not promoted, what is worse is refused."""

import numpy as np
import pytest

from bot.bench import gate
from bot.bench import gate_trials as made
from bot.bench.gate import Tally, missed, run, tally
from bot.bench.gate_trials import Predictions
from bot.learning.proof.terms import ProofTerms

TERMS = ProofTerms(draws=60)
SMALL = made.alike(made.CLOSE, n=800)


def predictions(n: int = 300) -> Predictions:
    draw = np.random.default_rng(4)
    truth = draw.integers(0, 20, n)
    right = draw.random(n) < 0.93
    return Predictions(
        names=tuple(f"intent_{number}" for number in range(20)),
        truth=truth,
        guess=np.where(right, truth, (truth + 1) % 20),
        confidence=np.where(right, 0.95, 0.5),
    )


def test_made_up_versions_are_as_alike_as_they_are_said_to_be() -> None:
    for difficulty, apart in ((made.CLOSE, 0.04), (made.APART, 0.09)):
        assert difficulty.accuracy == pytest.approx(0.93)
        assert difficulty.disagreement == pytest.approx(apart, abs=0.002)
        texts = made.alike(difficulty, n=50_000)(np.random.default_rng(1))
        assert texts.champion_right.mean() == pytest.approx(0.93, abs=0.005)
        gained, lost = texts.changes()
        assert (gained + lost) / texts.n == pytest.approx(difficulty.disagreement, abs=0.005)
        assert gained == pytest.approx(lost, rel=0.1)


def test_real_predictions_are_flipped_both_ways_alike() -> None:
    gained, lost = np.array(
        [
            made.real_alike(predictions(), n=3000)(np.random.default_rng(seed)).changes()
            for seed in range(60)
        ]
    ).sum(axis=0)
    assert gained + lost == pytest.approx(60 * 0.04 * 3000, rel=0.05)
    assert gained == pytest.approx(lost, rel=0.1)


def test_a_planted_loss_has_the_size_that_was_asked_for() -> None:
    draw = np.random.default_rng(3)
    before = SMALL(draw)
    after = made.with_loss(SMALL, points=2)(np.random.default_rng(3))
    assert before.challenger_right.sum() - after.challenger_right.sum() == 16
    texts, intent = made.with_loss_of(SMALL, np.random.default_rng(3))
    gained, lost = texts.changes(texts.of_label(intent))
    assert gained == 0
    assert 1 <= lost <= 3


def test_the_gate_keeps_its_bounds() -> None:
    found = run(trials=10, draws=40, real=predictions(), say=lambda text: None)
    assert missed(found) == []
    assert found["protected"].refused == found["protected_real"].refused == 10
    assert found["gain_4_percent_apart"].promoted == 10


def test_a_gate_that_asks_for_any_gain_would_not() -> None:
    found = tally(SMALL, trials=20, seed=0, terms=TERMS)
    assert found.larger > 5
    assert found.promoted <= 1


def test_bounds_that_are_missed_are_named() -> None:
    bad = Tally(trials=200, promoted=11, held=10, refused=179, larger=0)
    assert missed({"alike_real": bad}) == ["alike_real: 11 of 200 promoted"]
    assert missed({"loss_real": bad}) == ["loss_real: only 179 of 200 refused"]
    assert missed({"protected": bad}) == ["protected: only 179 of 200 refused"]
    assert missed({"gain": bad}) == []
    good = Tally(trials=200, promoted=10, held=10, refused=180, larger=0)
    assert missed({"alike": good, "loss": good}) == []


def test_people_are_asked_where_the_test_set_decides_nothing() -> None:
    few, messages = made.alike(made.CLOSE, n=300), made.alike(made.CLOSE, n=1600)
    alone = tally(made.with_gain(few, points=2), trials=20, seed=0, terms=TERMS)
    found = gate.tally_asked(
        made.with_gain(few, points=2),
        made.with_gain(messages, points=2),
        trials=20,
        seed=0,
        terms=TERMS,
    )
    assert found.promoted > alone.promoted
    same = gate.tally_asked(few, messages, trials=20, seed=0, terms=TERMS)
    assert same.promoted <= 2
    assert missed({"asked_worse": Tally(trials=20, promoted=2, held=0, refused=18, larger=0)}) == [
        "asked_worse: 2 of 20 promoted"
    ]


def test_only_messages_that_both_take_differently_are_asked_about() -> None:
    draw = np.random.default_rng(5)
    messages = made.alike(made.CLOSE, n=1600)(draw)
    said = made.asked(messages, draw)
    assert said.texts.n == made.QUESTIONS
    assert (said.texts.champion != said.texts.challenger).all()
    assert said.differ == (messages.champion != messages.challenger).sum()
    assert said.stands_for == pytest.approx(1600 * 24 / said.differ, abs=1)


def test_the_command_ends_with_1_where_a_bound_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from click.testing import CliRunner

    bad = Tally(trials=20, promoted=20, held=0, refused=0, larger=20)
    monkeypatch.setattr(gate, "_predictions", lambda settings, model: None)
    monkeypatch.setattr(gate, "run", lambda **given: {"alike_made_up": bad})
    done = CliRunner().invoke(gate.gate, ["--json"])
    assert done.exit_code == 1
    figures = json.loads(done.output)["figures"]
    assert figures["missed"] == ["alike_made_up: 20 of 20 promoted"]
    assert figures["alike_made_up"]["promoted"]["share"] == 1.0
    monkeypatch.setattr(gate, "run", lambda **given: {})
    assert CliRunner().invoke(gate.gate, ["--json"]).exit_code == 0
