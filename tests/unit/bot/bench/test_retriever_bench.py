"""The retriever's benchmark: both sides asked the same, of rows that are the asked wordings."""

import numpy as np

from actions.qa.pairs import Pair
from bot.bench.retriever import Store, right_intents, searched
from nlu.retriever_pairs import Asked

PAIRS = [
    Pair(
        id=f"p{n:02}",
        intent=f"i{n % 3}",
        category="c",
        question=f"question {n}",
        variants=(f"first {n}", f"second {n}"),
        answer=f"answer {n}",
    )
    for n in range(30)
]
STORE = Store(pairs=PAIRS)
ASKED = [Asked(pair=n, wording=1 + n % 2, seen=n % 3 > 0) for n in reversed(range(30))]
STRANGE = ["hello", "nice day"]


def vectors_of(skill: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    found = {}
    for text in [*STORE.texts, *STRANGE]:
        pair = next(
            (n for n, each in enumerate(PAIRS) if text in (each.document, *each.wordings)), 0
        )
        vector = rng.normal(size=30) * 0.2
        vector[pair] += skill if text not in STRANGE else 0.0
        found[text] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return found


def test_a_side_that_knows_the_pairs_wins_on_the_same_questions() -> None:
    figures = searched(STORE, ASKED, [vectors_of(0.1), vectors_of(3.0)], STRANGE)
    assert (figures["all"]["n"], figures["seen"]["n"], figures["unseen"]["n"]) == (30, 20, 10)
    first = figures["all"]["recall_1"]
    assert first["after"] == 1.0 > first["before"]
    assert first["won"] - first["lost"] == round(30 * (first["after"] - first["before"]))
    assert figures["decisions"]["after"]["answered_right"] == 1.0


def test_the_intent_of_the_first_pair_is_what_counts_at_a_strangers() -> None:
    asked = [("first 4", "i1"), ("first 5", "i1")]
    assert right_intents(STORE, asked, vectors_of(3.0)).tolist() == [True, False]
