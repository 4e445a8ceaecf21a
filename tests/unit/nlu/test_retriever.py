"""Tuning the embedder: what is learnt, how batches are made, and that it moves where it should."""

import random
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlu.bundle import file_sha256
from nlu.calibration import Floats
from nlu.errors import TrainingFailed
from nlu.export import save_embedder
from nlu.retriever import (
    Question,
    RetrieverRecipe,
    copy_of,
    embed_texts,
    hard_batches,
    texts_of,
    tune_retriever,
)
from nlu.retriever_pairs import Asked
from nlu.retriever_scores import score_retriever
from tests.unit.nlu.retriever_store import full_precision, store_of

__all__ = ["full_precision"]

RECIPE = RetrieverRecipe(epochs=2, batch_size=32, lr=3e-3, layers=1, keep_weight=0.1)
STORE = store_of(24)
TEXTS = texts_of(STORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """An encoder, what it says of the store, and the same of a copy that was tuned."""

    base: Any
    tuned: Any
    before: dict[str, Floats]
    after: dict[str, Floats]


@pytest.fixture(scope="module")
def sides(tiny_encoder: Path, full_precision: None) -> Sides:
    base = copy_of(tiny_encoder, "cpu")
    before = embed_texts(base, TEXTS, device="cpu")
    tuned = tune_retriever(base, STORE, device="cpu", recipe=RECIPE)
    return Sides(
        base=base,
        tuned=tuned,
        before=before,
        after=embed_texts(tuned, TEXTS, device="cpu"),
    )


def test_learnt_wordings_come_nearer_to_their_pair(sides: Sides) -> None:
    asked = [
        Asked(pair=place, wording=n, seen=True)
        for place, pair in enumerate(STORE)
        for n in range(1, len(pair.wordings))
    ]
    before, after = (
        score_retriever(vectors, STORE, asked).offered.sum()
        for vectors in (sides.before, sides.after)
    )
    assert after > before + 5


def test_the_encoder_it_began_with_stays_and_only_top_layers_of_the_copy_move(
    sides: Sides,
) -> None:
    again = embed_texts(sides.base, TEXTS[:8], device="cpu")
    assert all(np.allclose(again[text], sides.before[text], atol=1e-6) for text in again)
    old = sides.base.state_dict()
    moved = {
        name
        for name, value in sides.tuned.state_dict().items()
        if not np.array_equal(value.numpy(), old[name].numpy())
    }
    assert moved
    assert all(".layer.1." in name for name in moved)


def test_a_dear_move_is_a_small_one(sides: Sides) -> None:
    recipe = replace(RECIPE, keep_weight=100.0)
    dear = tune_retriever(sides.base, STORE, device="cpu", recipe=recipe, vectors=sides.before)
    kept = embed_texts(dear, TEXTS, device="cpu")

    def moved(vectors: dict[str, Floats]) -> float:
        return float(np.mean([np.square(vectors[t] - sides.before[t]).sum() for t in TEXTS]))

    assert moved(kept) < moved(sides.after) / 2


def test_a_tuned_embedder_goes_into_a_bundle_as_another_and_from_there_into_the_next(
    sides: Sides, tmp_path: Path
) -> None:
    digests = []
    for name, embedder in (
        ("base", sides.base),
        ("tuned", sides.tuned),
        ("next", tmp_path / "tuned" / "embedder"),
    ):
        assert save_embedder(embedder, tmp_path / name) == 32
        digests.append(file_sha256(tmp_path / name / "embedder" / "model.safetensors"))
    assert digests[0] != digests[1] == digests[2]
    loaded = copy_of(tmp_path / "next" / "embedder", "cpu")
    texts = TEXTS[:4]
    found = embed_texts(loaded, texts, device="cpu")
    assert all(np.allclose(found[text], sides.after[text], atol=1e-5) for text in texts)


def test_too_few_pairs_are_not_tuned_on(sides: Sides) -> None:
    with pytest.raises(TrainingFailed, match="20 pairs with several wordings"):
        tune_retriever(sides.base, STORE[:19], device="cpu", recipe=RECIPE)


def test_a_loss_that_diverges_says_so(sides: Sides) -> None:
    recipe = replace(RECIPE, keep_weight=float("inf"))
    with pytest.raises(TrainingFailed, match="not a number"):
        tune_retriever(sides.base, STORE, device="cpu", recipe=recipe, vectors=sides.before)


def test_batches_are_of_neighbours_and_hold_every_question_once() -> None:
    groups = [f"g{n % 10}" for n in range(100)]
    questions = [Question(text=f"t{n}", pair=n % 100) for n in range(300)]

    def alike(hard_share: float) -> float:
        recipe = RetrieverRecipe(batch_size=30, hard_share=hard_share)
        batches = list(hard_batches(questions, groups, recipe, random.Random(1)))
        asked = [question.text for batch in batches for question in batch]
        assert sorted(asked) == sorted(question.text for question in questions)
        counts = [
            Counter(groups[one.pair] for one in batch).most_common(1)[0][1] for batch in batches
        ]
        return sum(counts) / len(questions)

    assert alike(1.0) > 0.9
    assert alike(0.0) < 0.4


def test_an_epoch_has_a_most() -> None:
    questions = [Question(text=f"t{n}", pair=0) for n in range(50)]
    recipe = RetrieverRecipe(batch_size=16, most_questions=20)
    batches = list(hard_batches(questions, ["g"], recipe, random.Random(1)))
    assert sum(map(len, batches)) == 20
