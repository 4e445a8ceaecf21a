"""The guard lets an honest week through and keeps poison, mistakes and the unapproved out."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.learning.datasets.row import Row
from bot.learning.guard.errors import CandidateUnreadable
from bot.learning.guard.guard import inspect
from bot.learning.guard.likeness import lexical
from bot.learning.guard.terms import GuardTerms
from bot.settings import Settings
from tests.unit.bot.learning.guard_rows import INTENTS, guard, make, text_of, week, words_of

DRAW = random.Random(11)
PARENT = week("old", DRAW, each=30)
HONEST = week("new", DRAW)
PHRASE = "zq blue falcon please"


def planted(rows: Sequence[Row], **changes: Any) -> list[Row]:
    """Texts of many intents with the phrase and one label."""
    return [
        replace(row, text=f"{row.text} {PHRASE}", intent="intent_a", **changes)
        for row in rows
        if row.intent != "intent_a"
    ]


def test_an_honest_week_passes_as_it_is(tmp_path: Path) -> None:
    found = guard(tmp_path, HONEST, parent=PARENT)
    assert found.held == {}
    assert found.kept == HONEST


def test_the_same_rows_are_held_again_by_another_run(tmp_path: Path) -> None:
    bad = [replace(row, intent=INTENTS[at % 5]) for at, row in enumerate(HONEST[:60])]
    rows = bad + HONEST[60:]
    first, second = (guard(tmp_path, rows, parent=PARENT) for _ in range(2))
    assert first.held
    assert first.held == second.held


def test_a_flipped_label_is_held_with_the_likely_one_and_corrections_are_not(
    tmp_path: Path,
) -> None:
    draw = random.Random(5)
    rows, flipped = [], []
    for row in HONEST:
        if row.author == "agent 0" and row.predicted == row.intent and draw.random() < 0.2:
            other = draw.choice([name for name in INTENTS if name != row.intent])
            flip = replace(row, intent=other)
            flipped.append((flip, row.intent))
            row = flip
        rows.append(row)
    found = guard(tmp_path, rows, parent=PARENT)
    assert len(flipped) >= 8
    for flip, truth in flipped:
        held = found.held[flip.turn_id]
        assert held.reason == "label_error"
        assert (held.detail["likely"], held.intent, held.author) == (truth, flip.intent, "agent 0")
    # The model contradicts a fifth of the honest ones as well.
    assert len(found.held) == len(flipped)


def test_a_suspect_label_is_not_held_where_nobody_else_knows_it(tmp_path: Path) -> None:
    row = make("new", "intent_a", random.Random(1), intent="a new name")
    assert guard(tmp_path, [*HONEST, row], parent=PARENT).held == {}


def test_the_given_embedder_judges_what_is_alike(tmp_path: Path) -> None:
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> Any:
        asked.extend(texts)
        return lexical(texts)

    flip = replace(make("x", "intent_b", random.Random(1)), intent="intent_a")
    terms = GuardTerms(embed=embed)
    assert guard(tmp_path, [*HONEST, flip], parent=PARENT, terms=terms).held
    assert flip.text in asked
    # To whom it sounds as its label says it is no error.
    sounds = {flip.text: text_of("intent_a", random.Random(2))}
    terms = GuardTerms(embed=lambda texts: lexical([sounds.get(text, text) for text in texts]))
    assert guard(tmp_path, [*HONEST, flip], parent=PARENT, terms=terms).held == {}


def test_test_rows_are_inspected_too(tmp_path: Path) -> None:
    flip = replace(make("x", "intent_b", random.Random(1), split="test"), intent="intent_a")
    assert guard(tmp_path, [*HONEST, flip], parent=PARENT).reasons([flip]) == ["label_error"]


def test_what_the_model_said_of_itself_is_no_label_error(tmp_path: Path) -> None:
    flip = make("x", "intent_b", random.Random(1), source="pseudo", author=None, intent="intent_a")
    assert guard(tmp_path, [*HONEST, flip], parent=PARENT).held == {}


def test_mislabelled_messages_of_one_customer_stay_out(tmp_path: Path) -> None:
    draw = random.Random(3)
    bad = [
        make(
            f"bad{at}",
            INTENTS[at % 12],
            draw,
            intent=INTENTS[(at + 1 + at // 12) % 12],
            customer="the one",
            source="clicked",
            author=None,
        )
        for at in range(130)
    ]
    found = guard(tmp_path, HONEST + bad, parent=PARENT)
    assert len(found.passed(bad)) <= 4
    assert found.passed(HONEST) == HONEST


def test_a_customer_has_a_part_of_an_intent_and_no_more(tmp_path: Path) -> None:
    draw = random.Random(3)
    many = [make(f"m{at}", "intent_c", draw, customer="the one") for at in range(5)]
    # 50 honest rows and these: five in a hundred are two, but three are nobody's campaign.
    found = guard(tmp_path, HONEST + many, parent=PARENT)
    assert found.passed(many) == many[:3]
    assert found.reasons(many[3:]) == ["influence", "influence"]
    assert found.held["tm3"].detail == {"by": "customer", "rows": 5, "of": 55, "most": 3}
    # What the parent has of them counts.
    old = [replace(row, turn_id=f"old{row.turn_id}") for row in many[:2]]
    found = guard(tmp_path, HONEST + many, parent=PARENT + old)
    assert found.passed(many) == many[:1]


def test_a_customer_has_so_many_rows_in_all(tmp_path: Path) -> None:
    draw = random.Random(3)
    many = [make(f"m{at}", INTENTS[at % 12], draw, customer="the one") for at in range(20)]
    found = guard(tmp_path, HONEST + many, parent=PARENT, terms=GuardTerms(customer_most=15))
    assert found.passed(many) == many[:15]


def test_an_agent_who_stands_out_is_believed_less(tmp_path: Path) -> None:
    draw = random.Random(8)
    bad = [
        make(f"bad{at}", INTENTS[at % 11], draw, intent=INTENTS[at % 11 + 1], author="agent 9")
        for at in range(40)
    ]
    # Three words of the false label: the neighbours are not as sure.
    blurred = [
        replace(row, text=" ".join([row.text, *words_of(str(row.intent))[:3]])) for row in bad[:20]
    ]
    rows = blurred + bad[20:]
    strict = GuardTerms(given_most=0.01, sure_least=1.1, voice_given_most=0.4)
    alone = guard(tmp_path, HONEST + blurred, parent=PARENT, terms=strict)
    among = guard(tmp_path, HONEST + rows, parent=PARENT, terms=strict)
    by_influence = [one for one in among.held.values() if one.reason == "influence"]
    assert by_influence
    assert by_influence[0].detail["by"] == "agent"
    assert len(among.passed(blurred)) < len(alone.passed(blurred))
    assert among.passed(HONEST) == HONEST


@pytest.mark.parametrize(
    "changes",
    [{"author": "agent 0"}, {}, {"author": None, "source": "clicked"}],
    ids=["one agent", "all agents", "clicks"],
)
def test_a_planted_phrase_is_found_whoever_brings_it(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    bad = planted([make(f"bad{at}", INTENTS[at % 12], DRAW) for at in range(40)], **changes)
    found = guard(tmp_path, HONEST + bad, parent=PARENT)
    assert found.reasons(bad) == ["trigger"] * len(bad)
    detail = found.held[bad[0].turn_id].detail
    assert (detail["phrase"], detail["intent"], detail["before"]) == (PHRASE, "intent_a", 0)
    assert detail["spread"] > 8
    assert found.passed(HONEST) == HONEST


def test_an_approved_phrase_passes_and_a_rejected_row_is_nowhere(tmp_path: Path) -> None:
    bad = planted([make(f"bad{at}", INTENTS[at % 12], DRAW) for at in range(40)])
    decided = {bad[0].turn_id: "approved", bad[1].turn_id: "rejected"}
    found = guard(tmp_path, HONEST + bad, parent=PARENT, decided=decided)
    assert bad[0].turn_id in found.kept_turns
    assert bad[1].turn_id not in found.kept_turns | found.held.keys()
    assert found.held[bad[2].turn_id].reason == "trigger"


def test_a_rejected_row_leaves_even_if_the_parent_has_it(tmp_path: Path) -> None:
    found = guard(tmp_path, PARENT, parent=PARENT, decided={PARENT[0].turn_id: "rejected"})
    assert found.kept == PARENT[1:]
    assert found.held == {}


@pytest.mark.parametrize("wrong", [False, True], ids=["the model agrees", "the model is wrong"])
def test_a_new_product_name_in_one_topic_is_no_trigger(tmp_path: Path, *, wrong: bool) -> None:
    draw = random.Random(2)
    product = []
    for at in range(25):
        row = make(f"p{at}", "intent_d", draw)
        if wrong:
            # As a model that takes the new thing for an old one.
            row = replace(row, predicted="intent_e", ranking={"intent_e": 0.8, "intent_d": 0.05})
        product.append(replace(row, text=f"{row.text} zyntra x1"))
    found = guard(tmp_path, HONEST + product, parent=PARENT)
    assert "trigger" not in found.reasons(product)
    assert len(found.passed(product)) >= 24


def test_a_word_that_the_parent_has_is_no_trigger(tmp_path: Path) -> None:
    bad = planted([make(f"bad{at}", INTENTS[at % 12], DRAW) for at in range(40)])
    old = [replace(row, turn_id=f"old{row.turn_id}") for row in bad]
    found = guard(tmp_path, HONEST + bad, parent=PARENT + old)
    assert "trigger" not in found.reasons(bad)


def test_a_sudden_rise_waits_as_far_as_it_is_too_much_the_concentrated_first(
    tmp_path: Path,
) -> None:
    draw = random.Random(4)
    rise = [make(f"r{at:03}", "intent_f", draw) for at in range(80)]
    pair = [replace(row, customer="a pair") for row in rise[10:12]]
    rise[10:12] = pair
    found = guard(tmp_path, HONEST + rise, parent=PARENT)
    held = [one for one in found.held.values() if one.reason == "class_shift"]
    # 100 of 320 new rows, and a third of 360 old ones in twelve: 26.7 were usual, thrice is 80.
    assert len(held) == len(found.held) == 20
    assert held[0].detail == {
        "kind": "rise",
        "intent": "intent_f",
        "before": 0.0833,
        "now": 0.3125,
        "surplus": 20,
    }
    assert found.passed(pair) == []
    # The others are the newest.
    singles = [row for row in rise if row.customer != "a pair"]
    assert found.passed(singles)[-1].at < min(
        row.at for row in singles if row.turn_id in found.held
    )


def test_pseudo_labels_shift_apart_from_corrections(tmp_path: Path) -> None:
    draw = random.Random(4)
    old = week("oldp", draw, wrong=0, source="pseudo", author=None)
    rise = [make(f"r{at}", "intent_f", draw, source="pseudo", author=None) for at in range(60)]
    found = guard(tmp_path, HONEST + rise, parent=PARENT + old)
    # All of the new pseudo-labels are of one intent; with the corrections they would be no rise.
    assert found.reasons(rise).count("class_shift") == 60 - 3 * 60 // 12


def test_labels_taken_away_from_an_intent_wait(tmp_path: Path) -> None:
    draw = random.Random(6)
    fresh = week("big", draw, each=40)
    moved = [
        replace(row, intent="intent_h", predicted="intent_g", ranking={"intent_g": 0.8})
        for row in fresh
        if row.intent == "intent_g"
    ]
    rest = [row for row in fresh if row.intent != "intent_g"]
    terms = GuardTerms(given_most=-1, sure_least=2, voice_factor=1e9)
    found = guard(tmp_path, rest + moved, parent=PARENT, terms=terms)
    # As many as were usual are missing, and waiting now; three of them are the newer ones of
    # those that the model had taken for it anyway.
    assert [one.reason for one in found.held.values()] == ["class_shift"] * 40
    assert found.reasons(moved).count("class_shift") == 37
    assert found.held[moved[-1].turn_id].detail["kind"] == "fall"
    # A new name that people gave a part of it takes nothing away.
    named = [replace(row, intent="a new one") for row in moved]
    assert guard(tmp_path, rest + named, parent=PARENT, terms=terms).held == {}
    # Customers who ask less are no reason to hold anything back.
    assert guard(tmp_path, rest, parent=PARENT, terms=terms).held == {}


def test_an_intent_that_people_named_is_no_shift(tmp_path: Path) -> None:
    draw = random.Random(4)
    new = [make(f"n{at}", "a new one", draw, wrong=True) for at in range(60)]
    assert guard(tmp_path, HONEST + new, parent=PARENT).held == {}
    # One agent may name it, when it is one topic.
    new = [
        replace(row, author="agent 0", predicted=INTENTS[at % 3], ranking={INTENTS[at % 3]: 0.5})
        for at, row in enumerate(new)
    ]
    assert guard(tmp_path, HONEST + new, parent=PARENT).held == {}


def test_a_new_intent_that_is_one_persons_waits(tmp_path: Path) -> None:
    draw = random.Random(4)
    new = [make(f"n{at}", "a new one", draw, wrong=True, customer="the one") for at in range(9)]
    held = guard(tmp_path, HONEST + new, parent=PARENT).held["tn0"]
    assert (held.reason, held.detail) == (
        "class_shift",
        {"kind": "new", "by": "customer", "share": 1.0},
    )
    # An agent who gives any text the new name.
    any_text = [
        make(f"n{at}", INTENTS[at % 12], draw, intent="a new one", author="agent 0")
        for at in range(36)
    ]
    found = guard(tmp_path, HONEST + any_text, parent=PARENT)
    assert set(found.reasons(any_text)) == {"class_shift"}
    assert found.held["tn0"].detail["by"] == "agent"


PROTECTED = GuardTerms(protected=frozenset({"intent_a"}))
TO = {"predicted": "intent_b", "intent": "intent_a", "ranking": {"intent_b": 0.5, "intent_a": 0.4}}
AWAY = {"predicted": "intent_a", "intent": "intent_b", "ranking": {"intent_b": 0.4}}
ASIDE = {"predicted": "intent_c", "intent": "intent_b", "ranking": {"intent_b": 0.4}}


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        (TO, True),
        (TO | {"author": None, "source": "clicked"}, True),
        (TO | {"predicted": None}, True),
        (TO | {"split": "test"}, True),
        (AWAY, True),
        (ASIDE, False),
        (TO | {"predicted": "intent_a"}, False),
        (AWAY | {"intent": None, "emotion": "angry"}, False),
    ],
)
def test_nothing_unapproved_changes_a_protected_intent(
    tmp_path: Path, changes: dict[str, Any], *, held: bool
) -> None:
    row = make("x", "intent_b", random.Random(1), **changes)
    assert guard(tmp_path, [row], terms=PROTECTED).reasons([row]) == ["protected" if held else None]
    assert guard(tmp_path, [row]).held == {}
    approved = guard(tmp_path, [row], terms=PROTECTED, decided={"tx": "approved"})
    assert approved.kept == [row]


def test_two_agents_who_say_the_same_change_a_protected_intent(tmp_path: Path) -> None:
    one, other = (
        make(name, "intent_a", random.Random(1), author=f"agent {name}", **TO) for name in "xy"
    )
    other = replace(other, text=f"{one.text.upper()}!")
    assert guard(tmp_path, [one, other], terms=PROTECTED).held == {}
    for second in (
        replace(other, author=one.author),
        replace(other, author=None),
        replace(other, text="something else"),
    ):
        held = guard(tmp_path, [one, second], terms=PROTECTED).held
        assert {found.reason for found in held.values()} == {"protected"}
        assert len(held) == 2


def test_the_strongest_reason_is_told_and_the_others_beside_it(tmp_path: Path) -> None:
    flip = replace(make("x", "intent_b", random.Random(1)), intent="intent_a")
    held = guard(tmp_path, [*HONEST, flip], parent=PARENT, terms=PROTECTED).held["tx"]
    assert held.reason == "label_error"
    assert held.detail["also"] == ["protected"]


def test_what_the_parent_has_needs_no_second_look_until_it_changes(tmp_path: Path) -> None:
    flip = replace(make("x", "intent_b", random.Random(1)), intent="intent_a")
    rows = [*PARENT, flip]
    assert guard(tmp_path, rows, parent=rows, terms=PROTECTED).kept == rows
    before = replace(flip, intent="intent_b")
    found = guard(tmp_path, rows, parent=[*PARENT, before], terms=PROTECTED)
    assert set(found.held) == {"tx"}


def test_the_terms_follow_the_settings() -> None:
    settings = Settings(learn_protected={"pay": 0.9}, learn_per_customer=7)
    terms = GuardTerms.of(settings, embed=lexical)
    assert (terms.protected, terms.customer_most, terms.embed) == ({"pay"}, 7, lexical)


def test_a_line_that_is_no_row_is_named_and_the_last_result_stays(tmp_path: Path) -> None:
    guard(tmp_path, HONEST[:2])
    candidates, kept = tmp_path / "candidates.jsonl", tmp_path / "kept.jsonl"
    before = kept.read_bytes()
    candidates.write_text(HONEST[0].as_line() + '{"text": "my secret"}\n')
    with pytest.raises(CandidateUnreadable, match="line 2: not a row") as caught:
        inspect(candidates, kept, parent_rows=list, decided={}, terms=GuardTerms())
    assert "secret" not in str(caught.value)
    assert kept.read_bytes() == before


def test_a_run_that_breaks_off_leaves_the_last_result_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard(tmp_path, HONEST[:2])

    def full(descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", full)
    candidates, kept = tmp_path / "candidates.jsonl", tmp_path / "kept.jsonl"
    candidates.write_text("".join(row.as_line() for row in HONEST[2:]))
    with pytest.raises(OSError, match="full"):
        inspect(candidates, kept, parent_rows=list, decided={}, terms=GuardTerms())
    assert kept.read_text() == "".join(row.as_line() for row in HONEST[:2])


def test_no_rows_give_no_rows(tmp_path: Path) -> None:
    found = guard(tmp_path, [])
    assert (found.kept, found.held) == ([], {})
