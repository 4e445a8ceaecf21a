"""The verdict: a proven gain promotes, any loss refuses, everything else is held."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bot.learning.proof.evidence import Evidence, Paired, PairedSpans
from bot.learning.proof.reason import Reason
from bot.learning.proof.terms import ProofTerms
from bot.learning.proof.verdict import Verdict, judge
from bot.settings import Settings
from nlu.labels import Labels
from tests.unit.bot.learning.proof_fakes import EMOTIONS, INTENTS, evidence, paired, scope, side

TERMS = ProofTerms(draws=400)


def judged(found: Evidence, **terms: Any) -> Verdict:
    return judge(found, replace(TERMS, **terms), seed=3)


def reason(verdict: Verdict, name: str) -> Reason:
    return next(one for one in verdict.reasons if one.name == name)


def test_a_proven_gain_is_promoted() -> None:
    verdict = judged(evidence(paired(gained=20, lost=3)))
    assert verdict.decision == "promote"
    assert reason(verdict, "gain").figures["p_value"] < 0.001
    assert len(verdict.because) == 1
    assert "20 right" in verdict.because[0]


def test_a_version_against_itself_is_held() -> None:
    verdict = judged(evidence(paired()))
    assert verdict.decision == "hold"
    assert reason(verdict, "gain").figures["p_value"] == 1.0


@pytest.mark.parametrize(("gained", "lost"), [(4, 0), (10, 4), (9, 9), (60, 47)])
def test_a_gain_that_chance_explains_is_held(gained: int, lost: int) -> None:
    assert judged(evidence(paired(gained=gained, lost=lost))).decision == "hold"


def test_a_gain_that_only_one_of_the_two_tests_shows_is_held() -> None:
    # McNemar: p = 0.039; the bootstrap's interval goes below 0.
    verdict = judged(evidence(paired(n=3000, gained=62, lost=44)), draws=4000)
    figures = reason(verdict, "gain").figures
    assert figures["p_value"] <= 0.05
    assert figures["accuracy"]["low"] <= 0
    assert verdict.decision == "hold"


def test_alpha_is_the_companys_to_choose() -> None:
    found = evidence(paired(gained=12, lost=4))
    assert judged(found, alpha=0.2).decision == "promote"
    assert judged(found, alpha=0.01).decision == "hold"


def test_a_significant_loss_is_refused() -> None:
    verdict = judged(evidence(paired(gained=3, lost=20)))
    assert verdict.decision == "refuse"
    assert reason(verdict, "loss").level == "refuse"


def test_a_loss_of_two_points_at_3000_texts_is_refused() -> None:
    # 4 % of the texts flip both ways, 60 are lost besides.
    verdict = judged(evidence(paired(n=3000, gained=60, lost=120, both_wrong=150)))
    assert verdict.decision == "refuse"


def with_new(texts: Paired, *, right: int, wrong: int = 0) -> Evidence:
    """The same texts and some of an intent that only the challenger knows."""
    count = right + wrong
    number = len(INTENTS)
    truth = np.full(count, number)
    guesses = np.where(np.arange(count) < right, number, 0)

    def joined(old: Any, new: Any) -> Any:
        return np.concatenate([old, np.asarray(new, dtype=old.dtype)])

    more = Paired(
        names=(*INTENTS, "gift"),
        truth=joined(texts.truth, truth),
        champion=joined(texts.champion, np.zeros(count)),
        challenger=joined(texts.challenger, guesses),
        champion_confidence=joined(texts.champion_confidence, np.full(count, 0.5)),
        challenger_confidence=joined(texts.challenger_confidence, np.full(count, 0.9)),
        frozen=joined(texts.frozen, np.zeros(count)),
    )
    labels = side().labels
    knows = replace(labels, intent=(*labels.intent, "gift"))
    return evidence(more, challenger=side("challenger", labels=knows))


def test_a_new_intent_is_a_reason_where_nothing_is_lost_for_it() -> None:
    verdict = judged(with_new(paired(n=600, gained=6, lost=6), right=5, wrong=3))
    assert verdict.decision == "promote"
    assert reason(verdict, "gain").level == "note"
    found = reason(verdict, "new_intents")
    assert (found.figures["n"], found.figures["right"]) == (8, 5)
    assert found.figures["others"] == 600
    assert verdict.because == [found.sentence]


@pytest.mark.parametrize(
    ("texts", "right", "wrong"),
    [
        # Three in a row are chance at 0.05; less than half is no knowledge.
        (paired(n=600, gained=6, lost=6), 3, 0),
        (paired(n=600, gained=6, lost=6), 7, 8),
        # Of 100 texts a loss of two points cannot be ruled out, nor where many change.
        (paired(n=100, gained=4, lost=4), 5, 0),
        (paired(n=600, gained=30, lost=34), 8, 0),
    ],
)
def test_a_new_intent_that_is_not_proven_or_may_cost_something_is_held(
    texts: Paired, right: int, wrong: int
) -> None:
    verdict = judged(with_new(texts, right=right, wrong=wrong))
    assert verdict.decision == "hold"
    assert reason(verdict, "new_intents").level == "note"
    assert reason(verdict, "gain").level == "hold"


def with_grown(texts: Paired, *, gained: int, lost: int = 0, wrong: int = 0) -> Evidence:
    """The same texts and some of an intent that both know, and that has grown."""
    found = with_new(texts, right=gained, wrong=lost + wrong)
    guesses = found.intents.champion.copy()
    first = texts.n + gained
    guesses[first : first + lost] = len(INTENTS)
    return replace(
        found,
        champion=replace(found.champion, labels=found.challenger.labels),
        intents=replace(found.intents, champion=guesses),
        grown=frozenset({"gift"}),
    )


def test_an_intent_that_has_grown_is_a_reason_like_a_new_one() -> None:
    texts = paired(n=600, gained=6, lost=6)
    verdict = judged(with_grown(texts, gained=8, lost=1, wrong=2))
    found = reason(verdict, "new_intents")
    assert (verdict.decision, verdict.because) == ("promote", [found.sentence])
    assert {name: found.figures[name] for name in ("n", "right", "gained", "lost", "others")} == {
        "n": 11,
        "right": 8,
        "gained": 8,
        "lost": 1,
        "others": 600,
    }
    # Nobody said beforehand that it has grown.
    unsaid = replace(with_grown(texts, gained=8, lost=1, wrong=2), grown=frozenset())
    assert judged(unsaid).decision == "hold"


@pytest.mark.parametrize(
    "changes",
    [
        # Half of alpha: four in a row are a reason for a new one, six for one that has grown.
        {"gained": 5},
        {"gained": 8, "lost": 2},
        {"gained": 8, "wrong": 9},
    ],
)
def test_an_intent_that_has_grown_and_is_not_known_better_is_held(changes: dict[str, int]) -> None:
    verdict = judged(with_grown(paired(n=600, gained=6, lost=6), **changes))
    assert (verdict.decision, reason(verdict, "new_intents").level) == ("hold", "note")


def test_what_is_new_is_a_reason_though_what_has_grown_is_known_no_better() -> None:
    texts = paired(n=600, gained=6, lost=6)
    # One of the old intents has grown, and has as many lost as gained.
    new = replace(with_new(texts, right=5, wrong=3), grown=frozenset({INTENTS[0]}))
    verdict = judged(new)
    assert (verdict.decision, reason(verdict, "new_intents").figures["intents"]) == (
        "promote",
        ["gift"],
    )
    fewer = judged(replace(with_new(texts, right=3), grown=frozenset({INTENTS[0]})))
    found = reason(fewer, "new_intents")
    assert (fewer.decision, found.figures["intents"]) == ("hold", ["gift", INTENTS[0]])


def test_an_intent_that_has_grown_is_no_excuse_for_a_loss() -> None:
    assert judged(with_grown(paired(n=600, gained=30, lost=34), gained=8)).decision == "hold"
    assert judged(with_grown(paired(n=600, gained=2, lost=20), gained=8)).decision == "refuse"


def test_a_new_intent_is_no_excuse_for_a_loss() -> None:
    verdict = judged(with_new(paired(n=600, gained=2, lost=20), right=8))
    assert verdict.decision == "refuse"


def test_a_new_intent_without_texts_to_test_with_is_noted() -> None:
    verdict = judged(with_new(paired(), right=0))
    assert reason(verdict, "new_intents").level == "note"
    assert verdict.decision == "hold"


def test_what_was_known_may_not_be_lost_for_what_is_new() -> None:
    texts = paired(n=800, gained=0, lost=14, both_wrong=0, new=400)
    champion = texts.champion.copy()
    champion[-60:] = (texts.truth[-60:] + 1) % len(INTENTS)
    verdict = judged(evidence(replace(texts, champion=champion)))
    assert reason(verdict, "gain").level == "promote"
    assert reason(verdict, "frozen").level == "refuse"
    assert verdict.decision == "refuse"


def test_the_frozen_texts_that_changed_sides_are_named_by_their_places() -> None:
    texts = paired(n=600, gained=3, lost=2, new=200)
    before, after = texts.champion_right, texts.challenger_right
    figures = reason(judged(evidence(texts)), "frozen").figures
    places = range(int(texts.frozen.sum()))
    within = [place for place, is_frozen in enumerate(texts.frozen) if is_frozen]
    assert figures["gained_at"] == [n for n in places if after[within[n]] and not before[within[n]]]
    assert figures["lost_at"] == [n for n in places if before[within[n]] and not after[within[n]]]
    assert (len(figures["gained_at"]), len(figures["lost_at"])) == (
        figures["gained"],
        figures["lost"],
    )
    assert figures["n"] == 400
    assert figures["lost"] > 0


def test_a_small_loss_on_few_frozen_texts_is_for_a_person() -> None:
    texts = paired(n=200, gained=0, lost=2, both_wrong=0, new=140)
    champion = texts.champion.copy()
    champion[-40:] = (texts.truth[-40:] + 1) % len(INTENTS)
    verdict = judged(evidence(replace(texts, champion=champion)))
    assert reason(verdict, "frozen").level == "hold"
    assert verdict.decision == "hold"
    assert judged(evidence(replace(texts, champion=champion)), frozen_margin=0.2).decision == (
        "promote"
    )


def test_new_data_that_the_champion_finds_hard_are_pointed_out() -> None:
    texts = paired(n=400, both_wrong=0, new=200)
    champion = texts.champion.copy()
    champion[-60:] = (texts.truth[-60:] + 1) % len(INTENTS)
    verdict = judged(evidence(replace(texts, champion=champion)))
    assert reason(verdict, "selection").level == "note"
    assert not [one for one in judged(evidence(paired(new=200))).reasons if one.name == "selection"]


def with_protected_loss(gained: int, lost: int) -> Evidence:
    """A good version that gains and loses texts of the protected intent cancel_order."""
    texts = paired(gained=0, both_wrong=0)
    champion, challenger = texts.champion.copy(), texts.challenger.copy()
    others = np.flatnonzero(~texts.of_label("cancel_order"))
    champion[others[:40]] = 0
    of_it = np.flatnonzero(texts.of_label("cancel_order"))
    challenger[of_it[:lost]] = 1
    champion[of_it[lost : lost + gained]] = 1
    return evidence(replace(texts, champion=champion, challenger=challenger))


@pytest.mark.parametrize(("gained", "lost"), [(0, 1), (1, 2), (0, 5)])
def test_any_net_loss_of_a_protected_intent_is_refused(gained: int, lost: int) -> None:
    found = with_protected_loss(gained, lost)
    assert judged(found).decision == "promote"
    verdict = judged(found, protected={"cancel_order": 0.0})
    assert verdict.decision == "refuse"
    assert reason(verdict, "protected.cancel_order").level == "refuse"


def test_a_protected_intent_that_loses_nothing_does_not_stand_in_the_way() -> None:
    found = with_protected_loss(1, 1)
    assert judged(found, protected={"cancel_order": 0.9}).decision == "promote"


def test_a_floor_that_neither_version_reaches_is_for_a_person() -> None:
    found = with_protected_loss(30, 20)
    verdict = judged(found, protected={"cancel_order": 0.9})
    assert reason(verdict, "protected.cancel_order").level == "hold"
    assert verdict.decision == "hold"


def test_a_protected_intent_without_texts_is_held_not_passed_over() -> None:
    verdict = judged(evidence(), protected={"close_account": 0.9})
    assert verdict.decision == "hold"
    assert "KEFU_LEARN_PROTECTED" in reason(verdict, "protected.close_account").sentence


def test_an_intent_that_the_challenger_does_not_know_is_refused() -> None:
    fewer = side("challenger", labels=Labels(intent=INTENTS[1:], emotion=EMOTIONS))
    verdict = judged(evidence(challenger=fewer))
    assert verdict.decision == "refuse"
    assert reason(verdict, "labels").figures["gone"]["intent"] == ["cancel_order"]
    more = side("challenger", labels=replace(side().labels, intent=(*INTENTS, "ask_gift_card")))
    assert reason(judged(evidence(challenger=more)), "labels").level == "pass"


@pytest.mark.parametrize(("confidence", "level"), [(0.98, "pass"), (0.9, "refuse")])
def test_confidences_must_go_on_meaning_the_same(confidence: float, level: str) -> None:
    texts = paired(gained=20, both_wrong=0)
    texts = replace(texts, challenger_confidence=np.full(400, confidence))
    verdict = judged(evidence(texts))
    assert reason(verdict, "calibration").level == level
    assert verdict.decision == ("promote" if level == "pass" else "refuse")


def test_texts_out_of_scope_must_still_be_turned_away() -> None:
    before = [0.2] * 40
    verdict = judged(evidence(scope=scope(before, [0.45] * 10 + [0.2] * 30)))
    assert reason(verdict, "out_of_scope").level == "refuse"
    assert verdict.decision == "refuse"
    # One text more than chance would do.
    verdict = judged(evidence(scope=scope(before, [0.45] + [0.2] * 39)))
    assert verdict.decision == "promote"


def test_texts_out_of_scope_must_stay_apart_from_the_others() -> None:
    before = list(np.linspace(0.1, 0.7, 60))
    after = [min(0.999, sure + 0.15) if sure > 0.4 else sure for sure in before]
    verdict = judged(evidence(scope=scope(before, after)))
    figures = reason(verdict, "out_of_scope").figures
    assert figures["turned_away"][0] == figures["turned_away"][1]
    assert figures["auroc"][1] < figures["auroc"][0]
    assert reason(verdict, "out_of_scope").level == "refuse"


def test_without_texts_out_of_scope_the_guard_says_so() -> None:
    verdict = judged(evidence())
    assert reason(verdict, "out_of_scope").level == "note"
    assert "not measured" in reason(verdict, "out_of_scope").sentence
    assert verdict.decision == "promote"


def test_worse_emotions_are_refused() -> None:
    worse = paired(gained=2, lost=25, names=EMOTIONS)
    verdict = judged(evidence(emotions=worse))
    assert reason(verdict, "emotion_f1").level == "refuse"
    assert judged(evidence(emotions=paired(gained=5, lost=7, names=EMOTIONS))).decision == "promote"


def test_worse_entities_are_refused() -> None:
    champion = np.array([[1, 1, 1]] * 100)
    challenger = champion.copy()
    challenger[:9, 0] = 0
    verdict = judged(evidence(spans=PairedSpans(champion=champion, challenger=challenger)))
    assert reason(verdict, "entity_f1").level == "refuse"
    verdict = judged(evidence(spans=PairedSpans(champion=champion, challenger=champion)))
    assert reason(verdict, "entity_f1").level == "pass"


def test_rare_intents_may_not_pay_for_common_ones() -> None:
    truth = np.array([0] * 900 + [1] * 15 + [2] * 15, dtype=np.int64)
    champion, challenger = truth.copy(), truth.copy()
    champion[:60] = 3
    challenger[900:912] = 0
    challenger[915:927] = 0
    texts = replace(paired(n=930), truth=truth, champion=champion, challenger=challenger)
    verdict = judged(evidence(texts))
    assert reason(verdict, "gain").level == "promote"
    assert reason(verdict, "loss").level == "pass"
    assert reason(verdict, "macro_f1").level == "refuse"
    assert verdict.decision == "refuse"


@pytest.mark.parametrize(
    ("changes", "guard"),
    [
        ({"latency_ms": (7.7, 7.8, 7.9)}, "latency"),
        ({"size_bytes": 126_000_000}, "size"),
        ({"mode": "cpu"}, "mode"),
    ],
)
def test_slower_larger_or_out_of_int8_is_refused(changes: dict[str, Any], guard: str) -> None:
    verdict = judged(evidence(challenger=side("challenger", **changes)))
    assert verdict.decision == "refuse"
    assert [one.name for one in verdict.reasons if one.level == "refuse"] == [guard]


def test_a_little_slower_and_larger_is_no_matter() -> None:
    changes: dict[str, Any] = {"latency_ms": (7.2, 7.3, 7.4), "size_bytes": 120_000_000}
    assert judged(evidence(challenger=side("challenger", **changes))).decision == "promote"


def test_float_for_both_is_no_fall_back() -> None:
    found = evidence(champion=side(mode="cpu"), challenger=side("challenger", mode="cpu"))
    assert judged(found).decision == "promote"


def test_much_that_changes_on_real_messages_is_for_a_person() -> None:
    assert judged(evidence(shadow_turns=1000, shadow_changed=100)).decision == "promote"
    verdict = judged(evidence(shadow_turns=1000, shadow_changed=200))
    assert verdict.decision == "hold"
    assert reason(verdict, "shadow").figures["share"] == 0.2
    # Of a few messages a share says nothing.
    assert judged(evidence(shadow_turns=10, shadow_changed=9)).decision == "promote"


def test_a_refusal_goes_before_a_hold_and_a_gain() -> None:
    found = evidence(challenger=side("challenger", mode="cpu"), shadow_turns=100, shadow_changed=90)
    verdict = judged(found)
    assert {one.level for one in verdict.reasons} >= {"promote", "hold", "refuse"}
    assert verdict.decision == "refuse"


def test_without_texts_nothing_is_proven() -> None:
    verdict = judged(evidence(paired(n=0, both_wrong=0)))
    assert verdict.decision == "hold"
    assert "no test text" in verdict.because[0]


def test_a_verdict_is_plain_json_and_the_same_each_time() -> None:
    found = evidence(paired(gained=20, lost=3, new=100), emotions=paired(names=EMOTIONS))
    kept = judged(found).as_json()
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert kept == judged(found).as_json()
    assert kept["figures"]["gain"]["gained"] == 20
    assert {"name", "level", "sentence", "figures"} == set(kept["reasons"][0])


def test_the_terms_are_those_of_the_settings() -> None:
    settings = Settings(learn_alpha=0.01, learn_protected={"cancel_order": 0.95})
    terms = ProofTerms.of(settings)
    assert (terms.alpha, terms.protected) == (0.01, {"cancel_order": 0.95})
