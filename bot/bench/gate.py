"""`kefu bench gate`: the gate of the learning loop, tried on pairs whose difference is known."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import click
import numpy as np

from bot.bench import gate_trials as made
from bot.bench.gate_trials import Draw, Pair, Predictions
from bot.bench.report import emit, machine, progress
from bot.learning.proof.evidence import Paired
from bot.learning.proof.statistics import wilson
from bot.learning.proof.terms import ProofTerms
from bot.learning.proof.verdict import Verdict, judge
from bot.settings import Settings

TRIALS = 200
# Draws of the bootstrap: fewer than a proof makes, since hundreds of verdicts are given here.
DRAWS = 400
PROMOTED_AT_MOST = 0.05
REFUSED_AT_LEAST = 0.9
LOSS_POINTS = 2.0


# A few test texts, and people are asked about real messages: how difficult, and what is planted.
_ASKED = {
    "alike_asked_4_percent_apart": (made.CLOSE, made.unchanged),
    "alike_asked_9_percent_apart": (made.APART, made.unchanged),
    "asked_worse_4_percent_apart": (made.CLOSE, made.with_loss),
    "asked_better_4_percent_apart": (made.CLOSE, made.with_gain),
}
# After the name of a kind: the same pairs, where some intents have grown.
WHERE_GROWN = "_where_some_have_grown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How trials of one kind ended."""

    trials: int
    promoted: int
    held: int
    refused: int
    # How many a gate would have promoted that asks for any gain in accuracy.
    larger: int

    def as_json(self) -> dict[str, Any]:
        """Counts, and the share of each decision with its 95 % interval."""
        return {
            "trials": self.trials,
            "promoted": _share(self.promoted, self.trials),
            "held": _share(self.held, self.trials),
            "refused": _share(self.refused, self.trials),
            "promoted_by_any_gain": _share(self.larger, self.trials),
        }


def tally(pair: Pair, *, trials: int, seed: int, terms: ProofTerms) -> Tally:
    """Judge that many pairs."""

    def one(draw: Draw, trial: int) -> tuple[Paired, Verdict]:
        texts = pair(draw)
        return texts, judge(made.evidence(texts), terms, seed=trial)

    return _tally(one, trials=trials, seed=seed)


def tally_protected(pair: Pair, *, trials: int, seed: int, draws: int) -> Tally:
    """Judge pairs in which a protected intent loses one to three of its texts."""

    def one(draw: Draw, trial: int) -> tuple[Paired, Verdict]:
        texts, intent = made.with_loss_of(pair, draw)
        terms = ProofTerms(protected={intent: 0.0}, draws=draws)
        return texts, judge(made.evidence(texts), terms, seed=trial)

    return _tally(one, trials=trials, seed=seed)


def tally_asked(
    texts: Pair, messages: Pair, *, trials: int, seed: int, terms: ProofTerms, grown: int = 0
) -> Tally:
    """Judge pairs on a test set, and once more where people can be asked about real messages."""

    def one(draw: Draw, trial: int) -> tuple[Paired, Verdict]:
        known = texts(draw)
        found = made.evidence(known, grown=grown)
        verdict = judge(found, terms, seed=trial)
        if verdict.may_be_asked:
            said = made.asked(messages(draw), draw)
            verdict = judge(replace(found, asked=said), terms, seed=trial)
        return known, verdict

    return _tally(one, trials=trials, seed=seed)


def missed(figures: dict[str, Tally]) -> list[str]:
    """The bounds that were not kept, as sentences."""
    found = []
    for name, one in figures.items():
        if (
            name.startswith(("alike", "asked_worse"))
            and one.promoted > PROMOTED_AT_MOST * one.trials
        ):
            found.append(f"{name}: {one.promoted} of {one.trials} promoted")
        if name.startswith("loss") and one.refused < REFUSED_AT_LEAST * one.trials:
            found.append(f"{name}: only {one.refused} of {one.trials} refused")
        if name.startswith("protected") and one.refused < one.trials:
            found.append(f"{name}: only {one.refused} of {one.trials} refused")
    return found


def run(
    *, trials: int, draws: int, real: Predictions | None, say: Callable[[str], None]
) -> dict[str, Tally]:
    """All kinds of trials by name; those on real predictions where there are any."""
    close = made.alike(made.CLOSE)
    apart = made.alike(made.APART)
    kinds: dict[str, Pair] = {
        "alike_4_percent_apart": close,
        "alike_9_percent_apart": apart,
        "loss_4_percent_apart": made.with_loss(close, points=LOSS_POINTS),
        "loss_9_percent_apart": made.with_loss(apart, points=LOSS_POINTS),
        "gain_4_percent_apart": made.with_gain(close, points=LOSS_POINTS),
    }
    protected = {"protected": close}
    if real is not None:
        many = made.real_alike(real, n=made.TEXTS)
        kinds |= {
            "alike_real": made.real_alike(real),
            "alike_real_of_3000": many,
            "loss_real_of_3000": made.with_loss(many, points=LOSS_POINTS),
            "gain_real_of_3000": made.with_gain(many, points=LOSS_POINTS),
        }
        protected["protected_real"] = made.real_alike(real)
    kinds |= {
        "loss_with_new_intents": made.with_new_intents(made.with_loss(close, points=LOSS_POINTS)),
        "new_intents_4_percent_apart": made.with_new_intents(close),
    }
    found: dict[str, Tally] = {}
    for seed, (name, pair) in enumerate(kinds.items()):
        say(name)
        found[name] = tally(pair, trials=trials, seed=seed, terms=ProofTerms(draws=draws))
    for seed, (name, (difficulty, change)) in enumerate(_ASKED.items(), start=50):
        sizes = (made.FEW_TEXTS, made.MESSAGES)
        texts, messages = (change(made.alike(difficulty, n=n), points=LOSS_POINTS) for n in sizes)
        for grown, pair, kind in (
            (0, texts, name),
            (made.GROWN, made.with_few_of_grown(texts), name + WHERE_GROWN),
        ):
            say(kind)
            terms = ProofTerms(draws=draws)
            found[kind] = tally_asked(
                pair, messages, trials=trials, seed=seed, terms=terms, grown=grown
            )
    for seed, (name, pair) in enumerate(protected.items(), start=100):
        say(name)
        found[name] = tally_protected(pair, trials=trials, seed=seed, draws=draws)
    return found


@click.command()
@click.option("--trials", type=click.IntRange(20), default=TRIALS, show_default=True)
@click.option("--model", help="Version whose predictions are used; default: the current one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def gate(context: click.Context, trials: int, model: str | None, as_json: bool) -> None:
    """How often the gate passes what is no better, and whether it refuses what is worse."""
    real = _predictions(Settings(), model)
    found = run(trials=trials, draws=DRAWS, real=real, say=progress)
    broken = missed(found)
    report: dict[str, object] = {
        "bench": "gate",
        "machine": machine(),
        "ratios": {},
        "figures": {
            "texts": made.TEXTS,
            "intents": made.INTENTS,
            "accuracy": made.CLOSE.accuracy,
            "real_texts": 0 if real is None else len(real.truth),
            "alpha": ProofTerms().alpha,
            "bounds": {
                "alike promoted at most": PROMOTED_AT_MOST,
                f"loss of {LOSS_POINTS:g} points refused at least": REFUSED_AT_LEAST,
                "loss in a protected intent refused": 1.0,
            },
            **{name: one.as_json() for name, one in found.items()},
            "missed": broken,
        },
    }
    emit(report, as_json=as_json)
    if broken:
        context.exit(1)


def _predictions(settings: Settings, model: str | None) -> Predictions | None:
    """Of a trained version on the test texts; None where there is neither."""
    from bot.learning.proof.measured import BundleReader, understood
    from bot.learning.proof.pairing import Read, paired_intents
    from bot.learning.proof.sets import each_once, frozen_examples
    from nlu.bundle import BundleStore

    store = BundleStore(settings.models_dir)
    version = model or store.current()
    examples, is_frozen = each_once(frozen_examples(settings.data_dir), ())
    if version is None or not examples:
        return None
    reader = BundleReader(store.folder(version), threads=settings.nlu_threads)
    read = Read(side=reader.side, of=understood(reader, examples))
    texts = paired_intents(examples, is_frozen, read, read)
    return Predictions(
        names=texts.names,
        truth=texts.truth,
        guess=texts.champion,
        confidence=texts.champion_confidence,
    )


def _tally(one: Callable[[Draw, int], tuple[Paired, Verdict]], *, trials: int, seed: int) -> Tally:
    """How that many trials end; each has a draw of its own."""
    decisions, larger = [], 0
    for trial in range(trials):
        texts, verdict = one(np.random.default_rng([seed, trial]), trial)
        decisions.append(verdict.decision)
        larger += bool(texts.challenger_right.sum() > texts.champion_right.sum())
    return Tally(
        trials=trials,
        promoted=decisions.count("promote"),
        held=decisions.count("hold"),
        refused=decisions.count("refuse"),
        larger=larger,
    )


def _share(count: int, trials: int) -> dict[str, float]:
    low, high = wilson(count, trials)
    return {"share": round(count / trials, 4), "low": round(low, 4), "high": round(high, 4)}
