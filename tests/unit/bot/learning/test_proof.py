"""A whole proof with two fake versions: what is read, compared, listed and kept."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.learning.datasets.row import Row
from bot.learning.proof.errors import ProofMissing
from bot.learning.proof.measured import interleaved_ms, served, understood
from bot.learning.proof.pairing import paired_spans
from bot.learning.proof.proof import Proof, ProofOrder, prove, read_proof
from bot.learning.proof.sets import (
    each_once,
    frozen_examples,
    frozen_intents,
    new_examples,
    out_of_scope_texts,
)
from bot.learning.proof.shadow import replay
from bot.learning.proof.terms import ProofTerms
from bot.log.review_candidates import is_drawn
from nlu.examples import EntitySpan, Example
from nlu.labels import Labels
from nlu.understanding import Meaning
from tests.unit.bot.learning.proof_fakes import INTENTS, FakeReader

TERMS = ProofTerms(draws=200)


def examples(count: int) -> list[Example]:
    return [
        Example(text=f"text {number}", intent=INTENTS[number % 4], emotion="neutral")
        for number in range(count)
    ]


def says(texts: list[Example], wrong: range = range(0)) -> dict[str, tuple[str, float]]:
    """Right but for some of them."""
    found = {e.text: (str(e.intent), 0.97) for e in texts}
    for number in wrong:
        right = INTENTS.index(found[texts[number].text][0])
        found[texts[number].text] = (INTENTS[(right + 1) % 4], 0.06)
    return found


def proven(champion: FakeReader, challenger: FakeReader, **order: Any) -> Proof:
    readers = {"old": champion, "new": challenger}
    wanted = ProofOrder(
        champion=Path("old"),
        challenger=Path("new"),
        terms=order.pop("terms", TERMS),
        **order,
    )
    return prove(wanted, open_bundle=lambda folder: readers[folder.name])


def test_a_better_version_is_proven_better() -> None:
    texts = examples(200)
    champion = FakeReader(says(texts, range(30)))
    challenger = FakeReader(says(texts, range(28, 34)), version="challenger")
    proof = proven(
        champion, challenger, frozen=texts[:150], new=texts[150:], shadow=[("t1", "text 1")]
    )
    assert proof.verdict.decision == "promote"
    assert (proof.champion, proof.challenger) == ("champion", "challenger")
    assert (
        proof.verdict.figures["gain"] | {"n": 200, "gained": 28, "lost": 4}
        == (proof.verdict.figures["gain"])
    )
    sets = {row["name"]: row for row in proof.figures["accuracy"]}
    assert {name: row["n"] for name, row in sets.items()} == {"all": 200, "frozen": 150, "new": 50}
    assert sets["all"]["champion"]["share"] == 0.85
    assert sets["all"]["challenger"]["share"] == 0.97
    assert sum(row["gained"] for row in proof.figures["intents"]) == 28


def test_the_same_version_is_held_and_nothing_differs() -> None:
    texts = examples(40)
    reader = FakeReader(says(texts, range(4)))
    shadow = [(e.text, e.text) for e in texts]
    proof = proven(reader, reader, frozen=texts, shadow=shadow)
    assert proof.verdict.decision == "hold"
    assert proof.shadow.changes == ()
    assert proof.shadow.turns == 40


def test_texts_out_of_scope_are_measured_from_the_test_set() -> None:
    texts = examples(160)
    champion = FakeReader(says(texts))
    # Takes what is out of scope for track_order.
    table = says(texts) | {e.text: ("track_order", 0.9) for e in texts if e.intent == INTENTS[2]}
    challenger = FakeReader(table, version="challenger")
    proof = proven(champion, challenger, frozen=texts, out_of_scope=out_of_scope_texts(texts))
    figures = proof.verdict.figures["out_of_scope"]
    assert figures["n"] == 40
    assert figures["turned_away"] == [1.0, 0.0]
    assert proof.verdict.decision == "refuse"


def test_a_new_intent_counts_for_who_knows_it() -> None:
    texts = examples(40) + [Example(text=f"gift {n}", intent="ask_gift_card") for n in range(20)]
    old = says(texts[:40]) | {f"gift {n}": ("greet", 0.3) for n in range(20)}
    labels = Labels(intent=tuple(sorted((*INTENTS, "ask_gift_card"))), emotion=("angry", "neutral"))
    champion = FakeReader(old, labels=Labels(intent=INTENTS, emotion=("angry", "neutral")))
    challenger = FakeReader(
        says(texts[:40]) | {f"gift {n}": ("ask_gift_card", 0.97) for n in range(20)},
        version="challenger",
        labels=labels,
    )
    proof = proven(champion, challenger, frozen=texts[:40], new=texts[40:])
    assert proof.verdict.decision == "promote"
    by_name = {row["name"]: row for row in proof.figures["intents"]}
    assert by_name["ask_gift_card"]["champion"] == 0.0
    assert by_name["ask_gift_card"]["challenger"] == 1.0


def test_a_proof_is_kept_whole_and_holds_no_text(tmp_path: Path) -> None:
    texts = [Example(text=f"secret words {n}", intent=INTENTS[n % 4]) for n in range(40)]
    champion = FakeReader(says(texts))
    challenger = FakeReader(says(texts, range(10)), version="challenger")
    proof = proven(
        champion,
        challenger,
        frozen=texts,
        out_of_scope=out_of_scope_texts(texts),
        shadow=((f"turn-{n}", e.text) for n, e in enumerate(texts)),
    )
    path = proof.write(tmp_path / "run" / "proof")
    written = path.read_text("utf-8")
    assert "secret" not in written
    assert "turn-3" in written
    assert read_proof(path.parent) == json.loads(json.dumps(proof.as_json()))
    assert [file.name for file in path.parent.iterdir()] == ["proof.json"]


def test_a_proof_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProofMissing, match="kefu prove"):
        read_proof(tmp_path)
    (tmp_path / "proof.json").write_text("{", "utf-8")
    with pytest.raises(ProofMissing, match="cannot be read"):
        read_proof(tmp_path)
    (tmp_path / "proof.json").write_text('{"format": 99}', "utf-8")
    with pytest.raises(ProofMissing, match="another version"):
        read_proof(tmp_path)


def test_changes_are_listed_with_the_surest_first() -> None:
    texts = ["plain", "unsure", "sure", "felt"]
    before = dict.fromkeys(texts, ("greet", 0.9))
    after = before | {"unsure": ("track_order", 0.5), "sure": ("track_order", 0.95)}
    challenger = FakeReader(after, feels=lambda text: "angry" if text == "felt" else "neutral")
    shadow = replay(FakeReader(before), challenger, [(f"id-{text}", text) for text in texts])
    assert [change.turn_id for change in shadow.changes] == ["id-sure", "id-unsure", "id-felt"]
    assert (shadow.turns, shadow.changed, shadow.emotions_changed) == (4, 2, 1)
    assert shadow.pairs == [("greet", "track_order", 2)]
    felt = shadow.changes[-1]
    assert (felt.champion_emotion, felt.challenger_emotion) == ("neutral", "angry")


def test_a_guess_below_the_threshold_is_what_the_bot_asks_again_for() -> None:
    before, after = {"a": ("greet", 0.5)}, {"a": ("greet", 0.3)}
    shadow = replay(FakeReader(before), FakeReader(after), [("t", "a")])
    assert (shadow.changes[0].champion, shadow.changes[0].challenger) == ("greet", "nlu_fallback")
    nothing = Meaning(intents=[], emotions=[], entities=[])
    assert served(nothing, 0.4) == (None, 0.0)


def test_messages_are_read_some_hundred_at_a_time() -> None:
    asked = 0

    def turns() -> Iterator[tuple[str, str]]:
        nonlocal asked
        for number in range(1200):
            asked += 1
            yield f"t{number}", "hello"

    reader = FakeReader({"hello": ("greet", 0.9)})
    assert replay(reader, reader, turns()).turns == asked == 1200
    assert max(reader.batches) <= 512


def test_latency_is_taken_in_turns() -> None:
    order: list[str] = []

    class Timed(FakeReader):
        def time_ms(self, text: str) -> float:
            order.append(self.side.version)
            return self.ms

    champion, challenger = Timed({}), Timed({}, version="challenger")
    challenger.ms = 7.0
    before, after = interleaved_ms(champion, challenger, ["a", "b", "c"])
    assert (before, after) == ([5.0] * 3, [7.0] * 3)
    measured = order[6:]
    assert measured == ["champion", "challenger", "challenger", "champion", *measured[:2]]


def test_what_is_understood_has_places_in_the_versions_own_lists() -> None:
    texts = examples(6)
    found = understood(FakeReader(says(texts)), texts)
    assert found.intents.tolist() == [0, 1, 2, 3, 0, 1]
    assert found.probabilities.shape == (6, 4)
    assert np.allclose(found.probabilities.sum(axis=1), 1)
    assert found.confidence == pytest.approx(np.full(6, 0.97))
    assert found.at([4, 2]).intents.tolist() == [0, 2]
    headless = FakeReader({}, labels=Labels())
    headless.read = lambda examples: [Meaning(intents=[], emotions=[], entities=[])] * len(examples)  # type: ignore[method-assign]
    nothing = understood(headless, texts)
    assert nothing.intents.tolist() == [-1] * 6
    assert nothing.confidence.tolist() == [0.0] * 6


def test_entities_are_right_by_characters_and_kind() -> None:
    texts = [
        Example(
            text="to Leeds", intent="greet", spans=(EntitySpan(start=3, end=8, entity="city"),)
        ),
        Example(text="not annotated", intent="greet"),
        Example(text="none here", intent="greet", spans=()),
    ]
    reader = FakeReader({e.text: ("greet", 0.9) for e in texts})
    nothing = understood(reader, texts)
    right = type(nothing)(
        intents=nothing.intents,
        probabilities=nothing.probabilities,
        emotions=nothing.emotions,
        emotion_confidence=nothing.emotion_confidence,
        spans=(frozenset({(3, 8, "city")}), frozenset(), frozenset({(0, 4, "city")})),
    )
    pairs = paired_spans(texts, nothing, right)
    assert pairs.champion.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert pairs.challenger.tolist() == [[1, 1, 1], [0, 1, 0]]


def test_each_text_counts_once_and_the_frozen_set_goes_first() -> None:
    frozen = [Example(text="Hello", intent="greet"), Example(text="where", intent="track_order")]
    new = [
        Example(text="hello ", intent="goodbye"),
        Example(text="WHERE", emotion="angry"),
        Example(text="late", intent="track_order"),
    ]
    found, is_frozen = each_once(frozen, new)
    assert [e.text for e in found] == ["Hello", "where", "late"]
    assert [e.intent for e in found] == ["greet", "track_order", "track_order"]
    assert found[1].emotion == "angry"
    assert is_frozen == [True, True, False]


def row(text: str, **changes: Any) -> Row:
    plain: dict[str, Any] = {
        "turn_id": text,
        "conversation_id": "c",
        "customer": "k",
        "source": "corrected",
        "at": "2026-05-04T09:00:00+00:00",
    }
    return Row(text=text, **plain | changes)


def test_new_data_are_the_rows_that_were_kept_from_training() -> None:
    entities = [
        {"entity": "city", "start": 3, "end": 8, "value": "Leeds", "role": "arrival"},
        {"entity": "emotion", "start": 0, "end": 8, "value": "angry"},
        {"entity": "basket", "value": "no place in the text"},
    ]
    found = new_examples(
        [
            row("trained on", intent="greet"),
            row("to Leeds", intent="track_order", emotion="angry", entities=entities, split="test"),
        ],
        champion="v1",
        known=("greet",),
    )
    assert [e.text for e in found] == ["to Leeds"]
    assert found[0].emotion == "angry"
    assert found[0].spans is not None
    assert [span.tag for span in found[0].spans] == ["city:arrival"]


def test_what_was_chosen_for_the_champions_doubts_says_nothing_of_it() -> None:
    drawn = next(id_ for id_ in map(str, range(10_000)) if is_drawn(id_))
    rows = [
        row("drawn by lot", turn_id=drawn, intent="greet", model_version="v2"),
        row("doubted by it", intent="greet", model_version="v2"),
        row("doubted by another", intent="greet", model_version="v1"),
        row("unknown to it", intent="gift", model_version="v2"),
    ]
    rows = [replace(one, split="test") for one in rows]
    found = new_examples(rows, champion="v2", known=("greet", "bye"))
    assert [e.text for e in found] == ["drawn by lot", "doubted by another", "unknown to it"]


def test_the_frozen_set_is_the_test_folder_of_the_data(tmp_path: Path) -> None:
    assert frozen_examples(tmp_path) == []
    folder = tmp_path / "test"
    folder.mkdir()
    (folder / "nlu.yml").write_text(
        'version: "3.1"\nnlu:\n- intent: out_of_scope\n  examples: |\n    - what is love\n', "utf-8"
    )
    (folder / "emotion.csv").write_text("text,emotion\nlovely,happy\n", "utf-8")
    found = frozen_examples(tmp_path)
    assert [(e.text, e.intent, e.emotion) for e in found] == [
        ("what is love", "out_of_scope", None),
        ("lovely", None, "happy"),
    ]
    assert out_of_scope_texts(found) == ["what is love"]
    assert frozen_intents(tmp_path) == {"out_of_scope"}
