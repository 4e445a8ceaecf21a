"""What people say of messages that both versions take differently decides an open proof."""

from dataclasses import replace
from typing import Any

import pytest

from bot.learning.proof.evidence import Asked, Evidence
from bot.learning.proof.questions import Questions, by_lot
from bot.learning.proof.reason import Reason
from bot.learning.proof.shadow import Change, Shadow
from bot.learning.proof.terms import ProofTerms
from bot.learning.proof.verdict import Verdict, judge
from tests.unit.bot.learning.proof_fakes import INTENTS, evidence, paired, side

TERMS = ProofTerms(draws=400)


def judged(found: Evidence, **terms: Any) -> Verdict:
    return judge(found, replace(TERMS, **terms), seed=3)


def reason(verdict: Verdict, name: str) -> Reason:
    return next(one for one in verdict.reasons if one.name == name)


def asked(*, gained: int, lost: int, neither: int = 4) -> Asked:
    texts = paired(gained + lost + neither, gained=gained, lost=lost, both_wrong=neither)
    return Asked(texts=texts, differ=100, replayed=1000)


def test_so_many_messages_are_worth_as_much_as_many_times_as_many() -> None:
    found = asked(gained=16, lost=4)
    assert found.texts.n == 24
    assert found.stands_for == 240
    # What both take alike is of known intents; of the 24, a quarter is of each.
    assert found.of_known(INTENTS) == (240, 16, 4)
    assert found.of_known(INTENTS[:1])[0] == 240 - 18


def test_an_open_proof_is_decided_by_what_people_say() -> None:
    unclear = paired(gained=6, lost=4)
    assert judged(evidence(unclear)).decision == "hold"
    verdict = judged(evidence(unclear, asked=asked(gained=15, lost=4)))
    assert verdict.decision == "promote"
    assert reason(verdict, "gain").level == "note"
    found = reason(verdict, "asked")
    assert found.level == "promote"
    assert (found.figures["gained"], found.figures["lost"]) == (15, 4)
    assert verdict.because == [found.sentence]


@pytest.mark.parametrize(
    ("gained", "lost", "decision"),
    [
        # McNemar: p = 0.038 of 12 to 4, 0.377 of 6 to 4; 0.0083 is the most of both.
        (12, 4, "hold"),
        (13, 4, "hold"),
        (14, 4, "promote"),
        (10, 10, "hold"),
        (6, 11, "hold"),
        (2, 14, "refuse"),
    ],
)
def test_what_decides_nothing_stays_open_and_a_loss_is_refused(
    gained: int, lost: int, decision: str
) -> None:
    found = evidence(paired(gained=6, lost=4), asked=asked(gained=gained, lost=lost))
    assert judged(found).decision == decision


def test_a_loss_on_the_frozen_set_that_may_be_chance_is_weighed_with_what_people_said() -> None:
    texts = paired(n=600, gained=6, lost=13)
    held = judged(evidence(texts))
    assert reason(held, "frozen").level == "hold"
    verdict = judged(evidence(texts, asked=asked(gained=18, lost=3)))
    assert reason(verdict, "frozen").level == "pass"
    assert verdict.decision == "promote"
    # Where they say that what was known is lost, too, it stays held.
    verdict = judged(evidence(texts, asked=asked(gained=8, lost=12)))
    assert reason(verdict, "frozen").level == "hold"
    assert "people were asked about" in reason(verdict, "frozen").sentence


def test_a_loss_that_is_proven_is_made_up_for_by_nothing() -> None:
    texts = paired(gained=3, lost=20)
    assert judged(evidence(texts, asked=asked(gained=24, lost=0))).decision == "refuse"


def test_new_intents_may_be_known_by_what_people_said() -> None:
    labels = side().labels
    knows = side("challenger", labels=replace(labels, intent=(*labels.intent, "gift")))
    new = paired(12, both_wrong=0, names=("gift",))
    # All of the twelve are right with the challenger, none with the champion.
    texts = replace(new, names=(*INTENTS, "gift"), truth=new.truth + 4, challenger=new.truth + 4)
    said = Asked(texts=texts, differ=100, replayed=1000)
    unclear = paired(n=600, gained=4, lost=4)
    assert judged(evidence(unclear, challenger=knows)).decision == "hold"
    verdict = judged(evidence(unclear, challenger=knows, asked=said))
    figures = reason(verdict, "new_intents").figures
    assert (figures["n"], figures["right"], figures["others"]) == (12, 12, 600 + 120 - 12)
    assert reason(verdict, "new_intents").level == "promote"


def test_many_changes_are_read_by_who_was_asked() -> None:
    changed = evidence(paired(gained=20, lost=3), shadow_turns=1000, shadow_changed=200)
    held = judged(changed)
    assert (held.decision, held.may_be_asked) == ("hold", True)
    assert judged(replace(changed, asked=asked(gained=12, lost=6))).decision == "promote"
    assert reason(judged(replace(changed, asked=asked(gained=8, lost=9))), "shadow").level == "hold"


def test_only_want_of_evidence_is_asked_about() -> None:
    assert judged(evidence(paired())).may_be_asked
    assert not judged(evidence(paired(gained=20, lost=3))).may_be_asked
    assert not judged(evidence(paired(gained=3, lost=20))).may_be_asked
    # Nobody can tell what became of a protected intent without test texts.
    assert not judged(evidence(paired()), protected={"gift": 0.9}).may_be_asked


def test_turns_are_drawn_from_those_whose_intent_changes() -> None:
    def change(number: int, intent: str) -> Change:
        return Change(
            turn_id=f"t{number}",
            champion="greet",
            champion_confidence=0.9,
            challenger=intent,
            challenger_confidence=0.8,
        )

    changes = tuple(change(number, "track" if number % 2 else "greet") for number in range(40))
    shadow = Shadow(turns=400, changed=20, emotions_changed=20, changes=changes)
    one, other = by_lot(shadow, "run-1"), by_lot(shadow, "run-2")
    assert set(one) == {f"t{number}" for number in range(1, 40, 2)}
    assert one == by_lot(shadow, "run-1")
    assert one != other
    assert sorted(one) == sorted(other)


def test_questions_are_kept_as_plain_values() -> None:
    questions = Questions(champion="v1", turns=("a", "b", "c", "d", "e"), differ=9, replayed=50)
    assert Questions.of(questions.as_json()) == replace(questions, turns=["a", "b", "c", "d", "e"])
    assert Questions.of(None) is None
    assert questions.wanted == 4
    assert "5 of the 9 messages" in questions.as_reason().sentence
