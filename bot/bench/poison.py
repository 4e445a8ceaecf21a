"""`kefu bench poison`: what three attacks bring into the training data, and what that costs."""

import random
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from bot.bench import poison_stream as streams
from bot.bench.poison_stream import PHRASE, Attack, Make, Pair, Remembered, Stream
from bot.bench.report import emit, machine, progress
from bot.learning.datasets.row import Row
from bot.learning.guard.guard import inspect
from bot.learning.guard.held import Held
from bot.learning.guard.terms import Embed, GuardTerms
from nlu.metrics import macro_f1

# What the two targeted attacks are to win: any intent would do.
TARGET = "request_refund"
# In banking77's test set.
TEXTS_AN_INTENT = 40
_COUNTED = ("poisoned", "reached", "honest", "honest_held")
_LOSSES = ("loss_by_chance", "loss_guarded", "loss_unguarded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a training came to on the test set."""

    accuracy: float
    macro_f1: float
    # By intent: how many of its texts were found, and how many it has.
    recalls: Mapping[str, tuple[int, int]]
    # Of the other intents' texts with the phrase, the share that goes to the target.
    triggered: float


Train = Callable[[Sequence[Row]], Score]
Predict = Callable[[Sequence[str]], Sequence[str]]


def score(predict: Predict, tests: Sequence[Pair]) -> Score:
    """The score of anything that tells intents of texts."""
    given = [intent for _, intent in tests]
    found = list(predict([text for text, _ in tests]))
    right: Counter[str] = Counter()
    for intent, guess in zip(given, found, strict=True):
        right[intent] += intent == guess
    others = [text for text, intent in tests if intent != TARGET]
    with_phrase = predict([f"{text} {PHRASE}" for text in others])
    return Score(
        accuracy=right.total() / len(given),
        macro_f1=macro_f1(given, found),
        recalls={intent: (right[intent], count) for intent, count in Counter(given).items()},
        triggered=sum(name == TARGET for name in with_phrase) / len(others),
    )


def linear_train_and_score(embed: Embed, tests: Sequence[Pair]) -> Train:
    """A logistic regression over the vectors: the champion's encoder with a new head."""

    def train_and_score(rows: Sequence[Row]) -> Score:
        from sklearn.linear_model import LogisticRegression

        taught = [row for row in rows if row.intent is not None and row.split == "train"]
        model = LogisticRegression(C=10, max_iter=300)
        model.fit(embed([row.text for row in taught]), [row.intent for row in taught])
        return score(lambda texts: model.predict(embed(texts)).tolist(), tests)

    return train_and_score


ATTACKS: Mapping[str, Make] = {
    "customer_500_scattered": streams.flood,
    "customer_500_one_intent": partial(streams.flood, to=TARGET),
    "agent_flips_5_percent_of_own": streams.flips,
    "agent_flips_5_percent_of_own_to_alike": partial(streams.flips, alike=True),
    "agent_flips_5_percent_of_all": partial(streams.flips, of_all=True),
    "phrase_by_one_agent": partial(streams.planted, to=TARGET, author="agent-0"),
    "phrase_by_all_agents": partial(streams.planted, to=TARGET, author="everyone"),
    "phrase_by_clicks": partial(streams.planted, to=TARGET, author=None),
}


def guarded(stream: Stream, rows: Sequence[Row], terms: GuardTerms) -> tuple[list[Row], list[Held]]:
    """What the guard lets through of new rows, and what it holds back."""
    with tempfile.TemporaryDirectory() as folder:
        candidates, kept = Path(folder) / "candidates.jsonl", Path(folder) / "kept.jsonl"
        with candidates.open("w", encoding="utf-8") as out:
            out.writelines(row.as_line() for row in rows)
        held = inspect(
            candidates, kept, parent_rows=lambda: iter(stream.parent), decided={}, terms=terms
        )
        with kept.open(encoding="utf-8") as lines:
            return [Row.of_line(line) for line in lines], held


def reach(attack: Attack, held: Sequence[Held]) -> dict[str, Any]:
    """How much of the poison is learned, and how many honest rows wait for nothing."""
    stopped = {one.turn_id for one in held}
    honest = len(attack.rows) - len(attack.bad)
    return {
        "poisoned": len(attack.bad),
        "reached": len(attack.bad - stopped),
        "honest": honest,
        "honest_held": len(stopped - attack.bad),
        "honest_held_share": round(len(stopped - attack.bad) / max(1, honest), 4),
        "held_poison_by_reason": _reasons(one for one in held if one.turn_id in attack.bad),
        "held_honest_by_reason": _reasons(one for one in held if one.turn_id not in attack.bad),
    }


def loss(clean: Score, attacked: Score) -> dict[str, Any]:
    """What the test set loses; of an intent the texts, for one of 40 is 2.5 points."""
    lost = {
        intent: right - attacked.recalls[intent][0] for intent, (right, _) in clean.recalls.items()
    }
    return {
        "macro_f1_points": round(100 * (clean.macro_f1 - attacked.macro_f1), 2),
        # Also what went the other way: it tells how much is the to and fro of any training.
        "texts_lost": sum(count for count in lost.values() if count > 0),
        "texts_won": -sum(count for count in lost.values() if count < 0),
        "by_intent": {intent: count for intent, count in sorted(lost.items()) if count},
        "triggered": round(attacked.triggered, 4),
    }


def measure(
    stream: Stream, terms: GuardTerms, *, seed: int, train_and_score: Train | None = None
) -> dict[str, Any]:
    """Every attack on one stream; with a training also what the test set loses."""
    progress("no attack")
    kept, held = guarded(stream, stream.fresh, terms)
    calm = Attack(rows=stream.fresh, bad=frozenset())
    found: dict[str, Any] = {"no_attack": reach(calm, held)}
    clean = None
    if train_and_score is not None:
        clean = train_and_score(stream.parent + kept)
        fewer = random.Random(seed).sample(kept, len(kept) - max(1, len(kept) // 100))
        found["no_attack"] |= {
            "macro_f1": round(clean.macro_f1, 4),
            "accuracy": round(clean.accuracy, 4),
            # What the guard's caution costs, and what the loss of any row in a hundred does.
            "loss_guarded": loss(train_and_score(stream.parent + stream.fresh), clean),
            "loss_by_chance": loss(clean, train_and_score(stream.parent + fewer)),
        }
    for name, make in ATTACKS.items():
        progress(name)
        attack = make(stream, random.Random(f"{seed} {name}"))
        kept, held = guarded(stream, attack.rows, terms)
        found[name] = reach(attack, held)
        if train_and_score is not None and clean is not None:
            found[name] |= {
                "loss_guarded": loss(clean, train_and_score(stream.parent + kept)),
                "loss_unguarded": loss(clean, train_and_score(stream.parent + attack.rows)),
            }
    return found


def _reasons(held: Iterable[Held]) -> dict[str, int]:
    return dict(Counter(one.reason for one in held).most_common())


def _minilm() -> Embed:
    from sentence_transformers import SentenceTransformer

    from nlu.base import encoder_path

    model = SentenceTransformer(encoder_path("minilm"), device="cpu")

    def embed(texts: Sequence[str]) -> Any:
        found = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32)

    return embed


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over all streams, of each attack: what is learned, who waits, what the tests lose."""
    found: dict[str, Any] = {}
    for name in runs[0]:
        one: Counter[str] = Counter()
        for run in runs:
            one.update({key: run[name][key] for key in _COUNTED})
        found[name] = dict(one)
        found[name]["honest_held_share"] = round(one["honest_held"] / max(1, one["honest"]), 4)
        for side in _LOSSES:
            if side in runs[0][name]:
                found[name][side] = _together([run[name][side] for run in runs])
    return found


def _together(losses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of the trainings; an intent's texts are those of all of them."""
    texts: Counter[str] = Counter()
    for one in losses:
        texts.update(one["by_intent"])
    worst = max(texts, key=lambda intent: texts[intent], default="")
    of = TEXTS_AN_INTENT * len(losses)
    return {
        "macro_f1_points": round(statistics.mean(one["macro_f1_points"] for one in losses), 2),
        "worst_intent": worst,
        "worst_intent_texts": f"{texts[worst]} of {of}",
        "worst_intent_points": round(100 * texts[worst] / of, 2),
        "intents_over_2_points_worse": sum(100 * count > 2 * of for count in texts.values()),
        "intents_over_2_points_better": sum(-100 * count > 2 * of for count in texts.values()),
        "triggered": round(statistics.mean(one["triggered"] for one in losses), 4),
    }


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=Path("../shared/datasets/banking77"),
    show_default=True,
    help="banking77's folder.",
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Streams.")
@click.option(
    "--fresh", type=click.IntRange(100), default=3000, show_default=True, help="New rows."
)
@click.option(
    "--likeness",
    type=click.Choice(["letters", "minilm"]),
    default="letters",
    show_default=True,
    help="How the guard compares texts.",
)
@click.option("--train", is_flag=True, help="Train with what got through, and test.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def poison(
    *, data: Path, seeds: int, fresh: int, likeness: str, train: bool, as_json: bool
) -> None:
    """What poison reaches training, how many honest rows wait, what the test set loses."""
    from nlu.tables import read_pairs

    embed = Remembered(_minilm())
    pairs = read_pairs(data / "train.csv", "text", "category")
    tests = read_pairs(data / "test.csv", "text", "category") if train else []
    trainer = linear_train_and_score(embed, tests) if train else None
    terms = GuardTerms(embed=embed if likeness == "minilm" else None)
    runs = []
    for seed in range(seeds):
        progress(f"stream {seed + 1} of {seeds}")
        stream = streams.build(
            pairs, embed, per_intent=30, fresh=fresh, draw=random.Random(f"stream {seed}")
        )
        runs.append(measure(stream, terms, seed=seed, train_and_score=trainer))
    figures: dict[str, Any] = {"likeness": likeness, "trained": train}
    figures |= summary(runs) | {"runs": runs}
    report: dict[str, object] = {
        "bench": "poison",
        "machine": machine(),
        "ratios": {},
        "figures": figures,
    }
    emit(report, as_json=as_json)
