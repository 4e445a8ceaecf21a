"""The benchmark of the guard makes the attacks that it says, and counts what they come to."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from bot.bench import poison, poison_stream
from bot.bench.poison import Score, loss, reach, score, summary
from bot.bench.poison_stream import PHRASE, Attack, Champion, Remembered, Stream
from bot.learning.datasets.row import Row
from bot.learning.guard.held import Held
from bot.learning.guard.likeness import lexical
from bot.learning.guard.terms import GuardTerms
from tests.unit.bot.learning.guard_rows import INTENTS, text_of

NAMES = (poison.TARGET, *INTENTS[:7])


@pytest.fixture(scope="module")
def stream() -> Stream:
    draw = random.Random(4)
    pairs = [(text_of(name, draw), name) for _ in range(110) for name in NAMES]
    return poison_stream.build(pairs, Remembered(lexical), per_intent=30, fresh=150, draw=draw)


def test_a_stream_has_a_parent_corrections_and_sure_pseudo_labels(stream: Stream) -> None:
    assert Counter(row.intent for row in stream.parent) == dict.fromkeys(NAMES, 30)
    assert Counter(row.source for row in stream.fresh)["corrected"] == 150
    pseudo = [row for row in stream.fresh if row.source == "pseudo"]
    assert pseudo
    assert all(row.author is None and row.intent == row.predicted for row in pseudo)
    assert all((row.confidence or 0) >= 0.95 for row in pseudo)
    texts = {row.text for row in stream.parent}
    assert not texts & {text for text, _ in stream.spare}
    assert len({row.turn_id for row in stream.parent + stream.fresh}) == len(
        stream.parent + stream.fresh
    )


def bad_of(attack: Attack) -> list[Row]:
    return [row for row in attack.rows if row.turn_id in attack.bad]


def test_a_flood_is_one_customers_and_never_right(stream: Stream) -> None:
    truth = dict(stream.spare)
    rows = bad_of(poison_stream.flood(stream, random.Random(1), size=50))
    assert len(rows) == 50
    assert {row.customer for row in rows} == {"the one"}
    assert all(row.intent != truth[row.text] for row in rows)
    rows = bad_of(poison_stream.flood(stream, random.Random(1), to=poison.TARGET, size=50))
    assert {row.intent for row in rows} == {poison.TARGET}


@pytest.mark.parametrize("alike", [False, True])
def test_flips_are_one_agents_and_as_many_as_asked(stream: Stream, *, alike: bool) -> None:
    before = {row.turn_id: row for row in stream.fresh}
    attack = poison_stream.flips(stream, random.Random(1), share=0.1, of_all=True, alike=alike)
    rows = bad_of(attack)
    assert len(rows) == 15
    assert {row.author for row in rows} == {"agent-0"}
    assert all(row.intent != before[row.turn_id].intent for row in rows)
    changed = [row for row in attack.rows if row != before[row.turn_id]]
    assert changed == rows
    if alike:
        assert all(row.intent in list(row.ranking)[:4] for row in rows)


def test_a_planted_phrase_is_in_texts_of_other_intents(stream: Stream) -> None:
    truth = dict(stream.spare)
    attack = poison_stream.planted(stream, random.Random(1), to=poison.TARGET, author=None, size=30)
    rows = bad_of(attack)
    assert {(row.intent, row.author, row.source) for row in rows} == {
        (poison.TARGET, None, "clicked")
    }
    assert all(PHRASE in row.text for row in rows)
    assert all(truth[row.text.replace(PHRASE, "").strip()] != poison.TARGET for row in rows)
    assert len({row.customer for row in rows}) == 30


def test_what_reaches_training_is_what_is_not_held(stream: Stream) -> None:
    attack = Attack(rows=stream.fresh, bad=frozenset(row.turn_id for row in stream.fresh[:4]))
    held = [
        Held(turn_id=row.turn_id, reason="trigger", detail={}, intent=None, source="", author=None)
        for row in stream.fresh[1:6]
    ]
    found = reach(attack, held)
    assert (found["poisoned"], found["reached"], found["honest_held"]) == (4, 1, 2)
    assert found["held_poison_by_reason"] == {"trigger": 3}


def scores(right: int, f1: float) -> Score:
    return Score(accuracy=0.9, macro_f1=f1, recalls={"a": (right, 40), "b": (39, 40)}, triggered=0)


def test_losses_are_told_in_points_and_texts_and_summed_over_streams() -> None:
    first, second = loss(scores(38, 0.9), scores(36, 0.89)), loss(scores(38, 0.9), scores(39, 0.9))
    assert first["macro_f1_points"] == 1.0
    assert (first["by_intent"], first["texts_lost"], second["texts_won"]) == ({"a": 2}, 2, 1)
    counted = {"poisoned": 10, "reached": 1, "honest": 100, "honest_held": 2}
    found = summary([{"x": counted | {"loss_guarded": one}} for one in (first, second)])["x"]
    assert (found["reached"], found["honest_held_share"]) == (2, 0.02)
    assert found["loss_guarded"] == {
        "macro_f1_points": 0.5,
        "worst_intent": "a",
        "worst_intent_texts": "1 of 80",
        "worst_intent_points": 1.25,
        "intents_over_2_points_worse": 0,
        "intents_over_2_points_better": 0,
        "triggered": 0,
    }


def test_a_score_tells_how_often_the_phrase_pulls() -> None:
    def predict(texts: Sequence[str]) -> list[str]:
        return [poison.TARGET if PHRASE in text and "x" in text else text[0] for text in texts]

    found = score(predict, [("a x", "a"), ("a y", "a"), ("b y", "a"), ("b", "b")])
    assert (found.accuracy, found.recalls, found.triggered) == (
        0.75,
        {"a": (2, 3), "b": (1, 1)},
        0.25,
    )


def test_the_measure_trains_with_what_got_through(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poison, "ATTACKS", {"phrase_by_clicks": poison.ATTACKS["phrase_by_clicks"]})
    trained: list[int] = []

    def train_and_score(rows: Sequence[Row]) -> Score:
        trained.append(sum(PHRASE in row.text for row in rows))
        return scores(38, 0.9)

    found = poison.measure(stream, GuardTerms(), seed=1, train_and_score=train_and_score)
    attacked = found["phrase_by_clicks"]
    assert found["no_attack"]["honest_held"] <= 3
    assert attacked["reached"] <= 1
    assert attacked["poisoned"] >= 100
    # Clean with the guard, without it, by chance; then the attack with the guard and without.
    assert trained == [0, 0, 0, attacked["reached"], attacked["poisoned"]]


def test_a_champion_tells_intents_by_their_middles() -> None:
    champion = Champion.of(
        [("my parcel", "a"), ("the parcel", "a"), ("refund", "b")], Remembered(lexical)
    )
    (ranking,) = champion.rankings(["a parcel"])
    assert next(iter(ranking)) == "a"
    assert sum(ranking.values()) == pytest.approx(1, abs=0.01)
