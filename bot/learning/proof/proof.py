"""Tries a challenger against the champion and keeps what came of it."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bot.learning.proof import figures
from bot.learning.proof.errors import ProofMissing
from bot.learning.proof.evidence import Asked, Evidence, PairedScope
from bot.learning.proof.measured import BundleReader, Reader, interleaved_ms, understood
from bot.learning.proof.pairing import (
    Read,
    paired_emotions,
    paired_intents,
    paired_scope,
    paired_spans,
)
from bot.learning.proof.sets import OUT_OF_SCOPE, each_once
from bot.learning.proof.shadow import Shadow, replay
from bot.learning.proof.terms import ProofTerms
from bot.learning.proof.verdict import Verdict, judge
from nlu.examples import Example

FILE = "proof.json"
FORMAT = 1
# Single texts that are timed: the median of so many moves by a few percent on a busy machine.
TIMED = 200

Open = Callable[[Path], Reader]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofOrder:
    """What is to be tried, and on what."""

    champion: Path
    challenger: Path
    frozen: Sequence[Example]
    terms: ProofTerms
    new: Sequence[Example] = ()
    out_of_scope: Sequence[str] = ()
    # Labelled messages that both take differently, drawn by lot; of how many, of how many replayed.
    asked: Sequence[Example] = ()
    asked_of: tuple[int, int] = (0, 0)
    grown: frozenset[str] = frozenset()  # see `grown_intents`
    # (turn id, text) of real messages; read once, some hundred at a time.
    shadow: Iterable[tuple[str, str]] = ()
    seed: int = 7
    threads: int = 1
    # In place of the ones that the trainings chose, where the company has set one.
    fallback_threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A verdict with all that it stands on; it names turns and holds no text."""

    champion: str
    challenger: str
    terms: ProofTerms
    seed: int
    verdict: Verdict
    shadow: Shadow
    figures: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The proof as plain values, which `page.render` takes."""
        return {
            "format": FORMAT,
            "champion": self.champion,
            "challenger": self.challenger,
            "seed": self.seed,
            "terms": asdict(self.terms),
            "verdict": self.verdict.as_json(),
            "shadow": self.shadow.as_json(),
            "figures": self.figures,
        }

    def write(self, folder: Path) -> Path:
        """Keep it as proof.json: whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / FILE
        temporary = folder / f".{FILE}.{os.getpid()}.tmp"
        with temporary.open("w", encoding="utf-8") as out:
            json.dump(self.as_json(), out, ensure_ascii=False, indent=1, allow_nan=False)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(target)
        return target


def read_proof(folder: Path) -> dict[str, Any]:
    """A proof that was kept, as plain values; raises ProofMissing."""
    path = folder / FILE
    try:
        kept = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ProofMissing(path, "there is none") from None
    except (OSError, ValueError) as error:
        raise ProofMissing(path, f"it cannot be read ({type(error).__name__})") from None
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise ProofMissing(path, "it is of another version of kefu")
    return kept


def prove(
    order: ProofOrder,
    *,
    open_bundle: Open | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Proof:
    """Let both versions read all texts, and judge; raises BundleError for a damaged one."""
    opened = open_bundle or _opener(order)
    champion, challenger = opened(order.champion), opened(order.challenger)
    examples, is_frozen = each_once(order.frozen, order.new)
    say(f"{len(examples)} test texts")
    both = tuple(
        Read(side=reader.side, of=understood(reader, examples)) for reader in (champion, challenger)
    )
    intents = paired_intents(examples, is_frozen, *both)
    emotions = paired_emotions(examples, is_frozen, *both)
    say("latency")
    texts = [example.text for example in examples]
    before_ms, after_ms = interleaved_ms(champion, challenger, _spread(texts, TIMED))
    say("real messages")
    shadow = replay(champion, challenger, order.shadow)
    evidence = Evidence(
        champion=replace(champion.side, latency_ms=before_ms),
        challenger=replace(challenger.side, latency_ms=after_ms),
        intents=intents,
        emotions=emotions,
        spans=paired_spans(examples, both[0].of, both[1].of),
        scope=_scope(order, examples, both, (champion, challenger)),
        asked=_asked(order, (champion, challenger)),
        grown=order.grown,
        shadow_turns=shadow.turns,
        shadow_changed=shadow.changed,
    )
    return Proof(
        champion=champion.side.version,
        challenger=challenger.side.version,
        terms=order.terms,
        seed=order.seed,
        verdict=judge(evidence, order.terms, seed=order.seed),
        shadow=shadow,
        figures={
            "accuracy": figures.by_set(intents),
            "intents": figures.by_label(intents),
            "emotions": figures.by_label(emotions),
            "reliability": figures.bins(intents),
            "confusions": figures.confusions(intents),
        },
    )


def _opener(order: ProofOrder) -> Open:
    def opened(folder: Path) -> Reader:
        return BundleReader(folder, threads=order.threads, threshold=order.fallback_threshold)

    return opened


def _asked(order: ProofOrder, readers: tuple[Reader, Reader]) -> Asked | None:
    if not order.asked:
        return None
    both = [Read(side=reader.side, of=understood(reader, order.asked)) for reader in readers]
    texts = paired_intents(order.asked, [False] * len(order.asked), both[0], both[1])
    differ, replayed = order.asked_of
    return Asked(texts=texts, differ=differ, replayed=replayed)


def _scope(
    order: ProofOrder, examples: Sequence[Example], both: Sequence[Read], readers: Sequence[Reader]
) -> PairedScope | None:
    """Of the texts out of scope, against the test texts that are in scope."""
    texts = list(dict.fromkeys(order.out_of_scope))
    if not texts:
        return None
    unwanted = set(texts)
    inside = [
        row
        for row, example in enumerate(examples)
        if example.intent is not None
        and example.intent not in OUT_OF_SCOPE
        and example.text not in unwanted
    ]
    outside = [Example(text=text) for text in texts]
    return paired_scope(
        [replace(read, of=read.of.at(inside)) for read in both],
        [Read(side=reader.side, of=understood(reader, outside)) for reader in readers],
    )


def _spread(texts: Sequence[str], most: int) -> list[str]:
    """So many of the texts at most, from all over the list."""
    step = max(1, -(-len(texts) // most))
    return list(texts[::step])
