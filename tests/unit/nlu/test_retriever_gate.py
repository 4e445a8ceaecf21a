"""The gate: what a tuned embedder must show, and that it is kept out when it does not."""

import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nlu import retriever_gate
from nlu.errors import TrainingFailed
from nlu.retriever import RetrieverRecipe
from nlu.retriever_gate import KEPT, TUNED, RetrieverTask, digest_of, figures_of, objections, retune
from nlu.retriever_pairs import Asked, TaughtPair
from nlu.retriever_scores import best_scores, compare, mcnemar, score_retriever, told_apart

RECIPE = RetrieverRecipe()


def figures(**changed: tuple[int, int]) -> dict[str, Any]:
    """Figures of 600 questions, of which so many were won and lost: a clear gain unless changed."""

    def side(name: str) -> dict[str, Any]:
        won, lost = changed.get(name, (40, 10))
        return {"before": 0.4, "after": 0.5, "won": won, "lost": lost, "p": mcnemar(won, lost)}

    apart = changed.get("apart", (96, 96))
    return {
        "all": {"n": 600, "recall_1": side("all_1"), "recall_3": side("all_3")},
        "unseen": {"n": 200, "recall_1": side("unseen_1"), "recall_3": side("unseen_3")},
        "strange": {"n": 9, "told_apart": {"before": apart[0] / 100, "after": apart[1] / 100}},
    }


def test_a_clear_gain_passes() -> None:
    assert objections(figures()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"all_1": (20, 15)}, "told from chance"),
        ({"all_1": (10, 40)}, "told from chance"),
        ({"all_1": (0, 0)}, "told from chance"),
        ({"all_3": (9, 10)}, "recall@3 fell"),
        ({"unseen_1": (9, 10)}, "not learnt: recall_1"),
        ({"unseen_3": (9, 10)}, "not learnt: recall_3"),
        ({"apart": (96, 94)}, "without an answer come nearer"),
    ],
)
def test_what_keeps_a_tuned_embedder_out(changed: dict[str, Any], said: str) -> None:
    (reason,) = objections(figures(**changed))
    assert said in reason


@given(st.integers(0, 80), st.integers(0, 80))
def test_mcnemar_is_the_exact_binomial_test(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar(won, lost) == pytest.approx(expected, abs=1e-9)


def test_the_interval_of_a_difference_holds_it_nineteen_times_of_twenty() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        lots = rng.random(300)
        before = (lots < 0.4) | (lots > 0.95)
        after = lots < 0.47
        low, high = compare(before, after)["interval"]
        inside += low <= 0.02 <= high  # 7 points won, 5 lost
    assert 930 <= inside <= 970


@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=20),
    st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=20),
)
def test_told_apart_counts_the_pairs_in_order(known: list[float], strange: list[float]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a in known for b in strange]
    found = told_apart(np.array(known, np.float32), np.array(strange, np.float32))
    assert found == pytest.approx(sum(pairs) / len(pairs))


def two_pairs() -> tuple[list[TaughtPair], dict[str, np.ndarray]]:
    pairs = [
        TaughtPair(id="a", group="g", document="A", wordings=("a0", "a1")),
        TaughtPair(id="b", group="g", document="B", wordings=("b0", "b1", "b2")),
    ]
    east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    vectors = {"A": east, "a0": east, "a1": north, "B": north, "b0": north, "b1": north}
    return pairs, vectors | {"b2": east, "stranger": east}


def test_an_asked_wording_does_not_find_itself() -> None:
    pairs, vectors = two_pairs()
    asked = [
        Asked(pair=0, wording=1, seen=True),
        Asked(pair=1, wording=1, seen=True),
        Asked(pair=1, wording=2, seen=False),
    ]
    found = score_retriever(vectors, pairs, asked)
    assert found.first.tolist() == [False, True, False]
    assert found.offered.all()
    # a1 finds b0 and the document of b whole, itself counts for nothing
    assert found.best == pytest.approx([1.5, 1.5, 1.5])
    assert best_scores(vectors, pairs, ["stranger"]) == pytest.approx([1.5])


def test_an_asked_wording_counts_for_nothing_in_its_own_score() -> None:
    east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    pair = TaughtPair(id="a", group="g", document="A", wordings=("a0", "a1", "a2"))
    vectors = {"A": east, "a0": east, "a1": north, "a2": east}
    found = score_retriever(vectors, [pair], [Asked(pair=0, wording=1, seen=True)])
    assert found.best == pytest.approx([0.0])


def test_both_sides_are_asked_the_same_and_parted_by_what_was_seen() -> None:
    pairs, vectors = two_pairs()
    asked = [Asked(pair=0, wording=1, seen=True), Asked(pair=1, wording=2, seen=False)]
    better = vectors | {"a1": vectors["a0"]}
    task = RetrieverTask(pairs=pairs, base="minilm", strange=["stranger"])
    found = figures_of(task, asked, vectors, better)
    assert (found["all"]["n"], found["seen"]["n"], found["unseen"]["n"]) == (2, 1, 1)
    assert (found["seen"]["recall_1"]["won"], found["unseen"]["recall_1"]["won"]) == (1, 0)
    assert found["strange"]["n"] == 1


class FakeModel:
    """An embedder that knows each pair of the store well or badly."""

    def __init__(self, skill: float) -> None:
        self.skill = skill

    def save(self, path: str, *, create_model_card: bool) -> None:
        folder = Path(path)
        folder.mkdir(parents=True)
        (folder / "skill").write_text(str(self.skill))


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakeModel]:
    """Models by folder, embeddings of them, and a tuning that gives `tuned[-1]`."""
    tuned = [FakeModel(0.8)]

    def load(base: object, device: str) -> FakeModel:
        folder = Path(str(base))
        return FakeModel(float((folder / "skill").read_text()) if folder.is_dir() else 0.5)

    def embed(model: FakeModel, texts: list[str], *, device: str) -> dict[str, np.ndarray]:
        vectors = {}
        for text in texts:
            noise = np.random.default_rng(zlib.crc32(text.encode()))
            right = np.zeros(60)
            if numbers := re.findall(r"\d+", text):
                right[int(numbers[-1]) % 60] = 1
            vector = model.skill * right + 0.15 * noise.normal(size=60)
            vectors[text] = (vector / np.linalg.norm(vector)).astype(np.float32)
        return vectors

    monkeypatch.setattr(retriever_gate, "copy_of", load)
    monkeypatch.setattr(retriever_gate, "embed_texts", embed)
    monkeypatch.setattr(retriever_gate, "tune_retriever", lambda *_, **__: tuned[-1])
    return tuned


def numbered(pairs: int) -> list[TaughtPair]:
    return [
        TaughtPair(
            id=f"p{n}", group="g", document=f"d {n}", wordings=tuple(f"{k} {n}" for k in "abcde")
        )
        for n in range(pairs)
    ]


TASK = RetrieverTask(pairs=numbered(60), base="minilm", strange=["hello", "what a day"])


def test_a_better_embedder_is_handed_on(fakes: list[FakeModel]) -> None:
    tuning = retune(TASK)
    assert (tuning.accepted, tuning.report["decision"]) == (True, TUNED)
    assert tuning.embedder(TASK) is tuning.model is fakes[0]
    assert tuning.report["learnt"]["pairs"] < 60


@pytest.mark.parametrize("skill", [0.5, 0.2])
def test_one_that_is_no_better_stays_out_and_what_is_in_use_stays_in(
    fakes: list[FakeModel], tmp_path: Path, skill: float
) -> None:
    fakes.append(FakeModel(skill))
    tuning = retune(TASK)
    assert (tuning.accepted, tuning.report["decision"]) == (False, KEPT)
    assert tuning.embedder(TASK) == "minilm"
    champion = replace(TASK, champion=tmp_path)
    assert tuning.embedder(champion) == tmp_path


def test_the_one_to_beat_is_the_one_in_use(fakes: list[FakeModel], tmp_path: Path) -> None:
    FakeModel(0.8).save(str(tmp_path / "in-use"), create_model_card=False)
    tuning = retune(replace(TASK, champion=tmp_path / "in-use"))
    assert not tuning.accepted
    assert tuning.report["figures"]["all"]["recall_1"]["won"] == 0


def test_a_store_too_small_to_measure_is_left_alone(fakes: list[FakeModel]) -> None:
    tuning = retune(replace(TASK, pairs=numbered(10)))
    assert (tuning.model, tuning.accepted) == (None, False)
    assert "to measure with" in tuning.report["reasons"][0]


def test_a_tuning_that_fails_keeps_what_is_in_use(
    fakes: list[FakeModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise TrainingFailed("the loss is not a number")

    monkeypatch.setattr(retriever_gate, "tune_retriever", fail)
    tuning = retune(TASK)
    assert tuning.report == {"decision": KEPT, "reasons": ["the loss is not a number"]}


def test_a_tuning_that_was_done_before_a_kill_is_not_done_again(
    fakes: list[FakeModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = retune(TASK, checkpoints=tmp_path)
    (folder,) = tmp_path.iterdir()
    monkeypatch.setattr(retriever_gate, "_retune", lambda *_: pytest.fail("tuned again"))
    again = retune(TASK, checkpoints=tmp_path)
    assert again.report == first.report
    assert isinstance(again.model, FakeModel)
    assert again.model.skill == 0.8
    (folder / "report.json").unlink()  # killed before the end
    with pytest.raises(pytest.fail.Exception):
        retune(TASK, checkpoints=tmp_path)
    assert digest_of(TASK, RECIPE) != digest_of(replace(TASK, strange=["x"]), RECIPE)
