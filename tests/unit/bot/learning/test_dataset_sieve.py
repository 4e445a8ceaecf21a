"""What is chosen keeps its bounds whatever was found, and in whatever order."""

import math
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.learning.datasets.harvest import HarvestTerms
from bot.learning.datasets.row import SOURCES, Row
from bot.learning.datasets.sieve import PSEUDO, Caps, Chosen, Found, Sieve
from bot.settings import Settings

CAPS = Caps(per_customer=3, per_source=6, pseudo_share=1.0)

one_found = st.builds(
    Found,
    turn_id=st.uuids().map(str),
    rank=st.integers(0, PSEUDO),
    at_us=st.integers(0, 5),
    said_us=st.just(0),
    customer=st.sampled_from("abcd"),
    text_key=st.integers(0, 7).map(str),
    lot=st.floats(0, 1),
    is_test=st.booleans(),
    intent=st.sampled_from(["x", "y", "z"]),
    why=st.sampled_from([None, None, None, "erased"]),
)
founds = st.lists(one_found, min_size=8, max_size=60, unique_by=lambda one: one.turn_id).map(
    lambda found: [replace(one, is_test=one.is_test and one.rank == 0) for one in found]
)


def chosen(found: list[Found], caps: Caps, folder: Path) -> tuple[list[Chosen], dict[str, int]]:
    with Sieve(folder / "out.jsonl") as sieve:
        sieve.add(found)
        sieve.choose(caps)
        return [one for batch in sieve.chosen(7) for one in batch], sieve.dropped()


caps_ = st.builds(
    Caps,
    per_customer=st.integers(1, 5),
    per_source=st.integers(1, 12),
    pseudo_share=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)


@settings(deadline=None)
@given(found=founds, caps=caps_, seed=st.integers(0, 9))
def test_no_bound_is_passed_and_the_order_of_finding_does_not_matter(
    found: list[Found], caps: Caps, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    taken, dropped = chosen(found, caps, folder)
    by_id = {one.turn_id: one for one in found}
    full = [by_id[one.turn_id] for one in taken]
    assert len(taken) + sum(dropped.values()) == len(found)
    assert all(one.why is None for one in full)
    assert len({one.text_key for one in full}) == len(full)
    assert max(Counter(one.customer for one in full).values(), default=0) <= caps.per_customer
    ranks = Counter(one.rank for one in full)
    assert max(ranks.values(), default=0) <= caps.per_source
    budget = min(caps.per_source, math.floor(ranks[0] * caps.pseudo_share))
    assert ranks[PSEUDO] <= budget
    intents = Counter(one.intent for one in full if one.rank == PSEUDO)
    if intents and budget:
        assert max(intents.values()) <= budget
    # Words of a test turn are never trained on.
    tested = {one.text_key for one in found if one.is_test and one.why is None}
    assert all(one.is_test for one in full if one.text_key in tested)
    assert [one.at_us for one in full] == sorted(one.at_us for one in full)
    shuffled = random.Random(seed).sample(found, len(found))
    assert chosen(shuffled, caps, folder) == (taken, dropped)


def found(turn_id: str, rank: int = 0, **more: object) -> Found:
    plain = Found(
        turn_id=turn_id,
        rank=rank,
        at_us=0,
        said_us=0,
        customer=turn_id,
        text_key=turn_id,
        lot=0.5,
        intent="x",
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def test_of_one_turn_the_most_believed_counts_then_the_last_word(tmp_path: Path) -> None:
    ways = [
        found("t", 1, said_us=1, pair_id="first"),
        found("t", 1, said_us=3, pair_id="last"),
        found("t", 1, said_us=2, pair_id="between"),
        found("t", 2, said_us=9, pair_id="less believed"),
    ]
    for turn in range(4):
        ((one,), dropped) = chosen(ways[turn:] + ways[:turn], CAPS, tmp_path)
        assert (one.source, one.pair_id) == ("clicked", "last")
        assert dropped == {"duplicate": 3}


def test_of_a_customer_the_most_believed_stays_then_the_newest(tmp_path: Path) -> None:
    said = [
        found("new thumb", 2, customer="max", at_us=9),
        found("old label", 0, customer="max", at_us=1),
        found("new label", 0, customer="max", at_us=2),
        found("newest thumb", 2, customer="max", at_us=10),
    ]
    caps = Caps(per_customer=3, per_source=9, pseudo_share=0)
    taken, dropped = chosen(said, caps, tmp_path)
    assert [one.turn_id for one in taken] == ["old label", "new label", "newest thumb"]
    assert dropped == {"customer": 1}


def test_equal_shares_of_what_nobody_spoke_of_go_by_lot(tmp_path: Path) -> None:
    labelled = [found(f"l{number}") for number in range(4)]
    sure = [
        found(f"{intent}{number}", PSEUDO, intent=intent, lot=number / 10)
        for intent in ("x", "y")
        for number in range(5)
    ]
    taken, dropped = chosen(labelled + sure, CAPS, tmp_path)
    assert {one.turn_id for one in taken if one.source == "pseudo"} == {"x0", "x1", "y0", "y1"}
    assert dropped == {"share": 6}


def test_nothing_of_it_is_left_on_disk_while_it_is_in_use(tmp_path: Path) -> None:
    (tmp_path / ".out.jsonl.sieve").write_text("of a process that was killed")
    with Sieve(tmp_path / "out.jsonl") as sieve:
        sieve.add([found(f"t{number}") for number in range(5000)])
        assert list(tmp_path.iterdir()) == []
        sieve.choose(Caps(per_customer=9, per_source=9000, pseudo_share=0))
        assert sum(len(batch) for batch in sieve.chosen(100)) == 5000


def test_rows_of_the_version_before_are_counted_without_those_nobody_spoke_of(
    tmp_path: Path,
) -> None:
    def row(turn_id: str, source: int) -> Row:
        return Row(
            turn_id=turn_id,
            conversation_id="c",
            customer="c",
            text="t",
            source=SOURCES[source],
            at=datetime(2026, 5, 4, tzinfo=UTC).isoformat(),
        )

    with Sieve(tmp_path / "out.jsonl") as sieve:
        sieve.remember([row("a", 0), row("b", 0), row("gone", 2), row("sure", PSEUDO)])
        sieve.add([found("a"), found("b"), found("c")])
        sieve.choose(CAPS)
        assert sieve.carried() == (2, 1)
        sieve.drop(["b"], "changed")
        assert sieve.carried() == (1, 2)
        assert sieve.dropped() == {"changed": 1}


def test_the_terms_are_those_of_the_settings(tmp_path: Path) -> None:
    chosen_by = Settings(
        state_dir=tmp_path,
        learn_test_share=0.2,
        learn_pseudo_confidence=0.9,
        learn_pseudo_share=2.0,
        learn_per_customer=7,
        learn_per_source=9,
    )
    terms = HarvestTerms.of(chosen_by)
    assert (terms.test_share, terms.pseudo_confidence, terms.pseudo_share) == (0.2, 0.9, 2.0)
    assert (terms.per_customer, terms.per_source) == (7, 9)
    # The same key in the next process, another one elsewhere.
    assert terms.hash_text("max") == HarvestTerms.of(chosen_by).hash_text("max")
    elsewhere = HarvestTerms.of(Settings(state_dir=tmp_path / "other"))
    assert elsewhere.hash_text("max") != terms.hash_text("max")
