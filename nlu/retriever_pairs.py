"""The answered questions as the retriever learns them, and which of them it is never taught."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from nlu.errors import DataError

MAX_DOCUMENT_ANSWER = 300  # as the QA store cuts what it embeds
MAX_WORDINGS = 40  # of one pair: a question that everybody asks must not be all that is learnt
TUNED = "tuned"  # in the id of an embedder that learnt wordings
UNSEEN_SHARE = 0.15  # of the pairs
HELD_SHARE = 0.3  # of the further wordings of the others
# Intents whose texts no answer of the store fits.
STRANGE_INTENTS = frozenset({"out_of_scope", "greet", "how_are_you", "bot_challenge", "insult"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtPair:
    """A question that has an answer, with the wordings it is asked in."""

    id: str
    group: str  # pairs of one group are easily taken for each other
    document: str  # question and answer together
    wordings: tuple[str, ...]  # the pair's own question first


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A wording to be asked, and the pair that it should find."""

    pair: int  # its place among all pairs
    wording: int  # its place among the pair's
    seen: bool  # other wordings of the pair were learnt


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSplit:
    """What is learnt, and what is asked afterwards."""

    learnt: tuple[TaughtPair, ...]
    asked: tuple[Asked, ...]


def read_pairs(folder: Path) -> list[TaughtPair]:
    """The pairs of `folder/*.yml`, by id; files may hold several documents, as an export does.

    Raises DataError naming the file and the pair.
    """
    pairs: dict[str, TaughtPair] = {}
    for path in sorted(folder.glob("*.yml")):
        try:
            documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            problem = str(error).splitlines()[0]
            raise DataError(f"cannot be read: {problem}", path=path) from None
        for content in documents:
            items = content.get("pairs") if isinstance(content, dict) else None
            if not isinstance(items, list):
                raise DataError("needs a list `pairs`", path=path)
            for item in items:
                pair = _pair(item, str(content.get("category")), path)
                pairs[pair.id] = pair
    return [pairs[key] for key in sorted(pairs)]


def with_wordings(
    pairs: Sequence[TaughtPair], taught: Iterable[tuple[str, str]]
) -> list[TaughtPair]:
    """The pairs with what customers asked added: (text, id of the pair that answered it).

    Texts of pairs that are no more are passed over, and so is what a pair has already.
    """
    found = {pair.id: _each_once(pair.wordings) for pair in pairs}
    for text, pair_id in taught:
        known = found.get(pair_id)
        if known is not None and text.strip() and len(known) < MAX_WORDINGS:
            known.setdefault(_plain(text), text.strip())
    return [replace(pair, wordings=tuple(found[pair.id].values())) for pair in pairs]


def split_pairs(pairs: Sequence[TaughtPair]) -> PairSplit:
    """Holds some pairs out whole, and of the others some wordings.

    Pairs and texts draw lots by their own names: what one tuning learnt is never asked in a later
    one, so that a champion is not compared on questions that it knows. A pair's own question, and
    of its further wordings one at least, are learnt.
    """
    learnt: list[TaughtPair] = []
    asked: list[Asked] = []
    for place, pair in enumerate(pairs):
        further = range(1, len(pair.wordings))
        if _lot(pair.id) < UNSEEN_SHARE:
            asked += [Asked(pair=place, wording=n, seen=False) for n in further]
            continue
        lots = [_lot(text) for text in pair.wordings]
        last = max(lots[1:], default=0.0)
        held = {n for n in further if lots[n] < min(HELD_SHARE, last)}
        asked += [Asked(pair=place, wording=n, seen=True) for n in sorted(held)]
        kept = tuple(text for n, text in enumerate(pair.wordings) if n not in held)
        learnt.append(replace(pair, wordings=kept))
    return PairSplit(learnt=tuple(learnt), asked=tuple(asked))


def embedder_id(base_model: str, digests: Sequence[str], *, tuned: bool) -> str:
    """What the vectors of an embedder are stored under: its weights', whatever bundle it is in.

    digests: sha256 of its files of weights.
    """
    name = Path(base_model).name
    parts = [name, TUNED] if tuned else [name]
    return "-".join([*parts, *(digest[:12] for digest in digests)])


def is_tuned(embedder: str) -> bool:
    """Whether the embedder of this id learnt wordings of the pairs."""
    return f"-{TUNED}-" in embedder


def _pair(item: Any, category: str, path: Path) -> TaughtPair:
    if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
        raise DataError("a pair must be a mapping of keys with an `id`", path=path)
    variants = item.get("variants") or []
    texts = [item.get("question"), *variants] if isinstance(variants, list) else []
    answer = item.get("answer")
    if not texts or not all(isinstance(text, str) and text.strip() for text in (*texts, answer)):
        raise DataError(f"pair {item['id']}: question, variants, answer must be text", path=path)
    question = texts[0].strip()
    return TaughtPair(
        id=item["id"],
        group=category,
        document=f"{question}\n{str(answer).strip()[:MAX_DOCUMENT_ANSWER]}",
        wordings=tuple(_each_once(texts).values()),
    )


def _each_once(texts: Iterable[str]) -> dict[str, str]:
    """The texts, the first of those that differ by case alone."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(_plain(text), text.strip())
    return found


def _plain(text: str) -> str:
    return text.lower().strip()


def _lot(name: str) -> float:
    """From 0 to 1, and always the same for the same text."""
    digest = hashlib.sha256(b"retriever " + _plain(name).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
