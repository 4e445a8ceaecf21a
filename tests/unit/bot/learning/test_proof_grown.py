"""Intents of which a challenger has learned many more texts than its champion."""

from pathlib import Path

import pytest

from bot.learning.proof.grown import FEW, grown_intents
from nlu.examples import Example
from nlu.seen import write_seen


def texts(intent: str, count: int) -> list[Example]:
    return [Example(text=f"{intent} {number}", intent=intent) for number in range(count)]


@pytest.mark.parametrize(
    ("before", "after", "has_grown"),
    [
        (4, 6, True),
        (4, 5, False),
        (1, 2, True),
        # Not known at all: it is new, and no intent that has grown.
        (0, 9, False),
        (FEW - 1, 60, True),
        (FEW, 60, False),
        (6, 4, False),
    ],
)
def test_an_intent_of_few_texts_has_grown_that_has_half_as_many_again(
    tmp_path: Path, before: int, after: int, has_grown: bool
) -> None:
    champion, challenger = tmp_path / "champion", tmp_path / "challenger"
    for folder, count in ((champion, before), (challenger, after)):
        folder.mkdir()
        write_seen(folder, [*texts("parcel", count), *texts("greet", 10)])
    known = [*texts("parcel", 99), *texts("greet", 99), Example(text="oh", emotion="angry")]
    found = grown_intents(known, champion=champion, challenger=challenger)
    assert found == (frozenset({"parcel"}) if has_grown else frozenset())


def test_what_is_not_among_the_examples_any_more_counts_for_neither(tmp_path: Path) -> None:
    write_seen(tmp_path, texts("parcel", 8))
    other = tmp_path / "other"
    other.mkdir()
    write_seen(other, texts("parcel", 12))
    assert not grown_intents(texts("parcel", 8), champion=tmp_path, challenger=other)


def test_to_a_champion_without_fingerprints_nothing_has_grown(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_seen(other, texts("parcel", 12))
    assert not grown_intents(texts("parcel", 12), champion=tmp_path, challenger=other)
