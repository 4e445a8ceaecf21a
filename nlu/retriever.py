"""Tunes the sentence embedder so that a question comes nearest to the answer that fits it."""

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlu.calibration import Floats
from nlu.errors import TrainingFailed
from nlu.progress import Progress
from nlu.retriever_pairs import TaughtPair

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

Vectors = Mapping[str, Floats]  # text -> (dim,), of length one

_EMBED_ROWS = 32
LEAST_PAIRS = 20  # with fewer there is nothing to tell apart


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieverRecipe:
    """Figures of a tuning, each chosen by leaving wordings and pairs of data/qa out."""

    epochs: int = 2
    batch_size: int = 48
    lr: float = 1.5e-4
    # Layers that learn, from the top: two are enough, and what lies below keeps what is true of
    # any text. One third of the work of all six, too.
    layers: int = 2
    # Of the questions, those that meet neighbours of their own group in their batch.
    hard_share: float = 0.7
    temperature: float = 0.05
    # How much it costs to leave the base encoder's vectors: general questions must not get worse.
    keep_weight: float = 1.0
    # The search adds up what a question has in common with document and question in this ratio.
    question_weight: float = 0.3
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    clip_norm: float = 1.0
    most_questions: int = 20_000  # an epoch
    seed: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A wording to learn from, and the place of its pair."""

    text: str
    pair: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tuned:
    model: "SentenceTransformer"
    recipe: RetrieverRecipe
    device: str


def tune_retriever(
    base: "SentenceTransformer | str | Path",
    pairs: Sequence[TaughtPair],
    *,
    device: str,
    recipe: RetrieverRecipe | None = None,
    progress: Progress | None = None,
    vectors: Vectors | None = None,
) -> "SentenceTransformer":
    """A copy of an encoder that has learnt which wordings belong to which pair.

    Softmax over the pairs in the batch, each other one a negative (InfoNCE, van den Oord et al.
    2018; in-batch negatives, Henderson et al. 2017), with batches made of neighbours, and a cost
    on leaving the vectors it began with. `vectors` are those, where they are known already.
    Raises TrainingFailed when there are too few pairs or the loss diverges.
    """
    import torch

    recipe, progress = recipe or RetrieverRecipe(), progress or Progress(quiet=True)
    questions = [
        Question(text=text, pair=place)
        for place, pair in enumerate(pairs)
        for text in pair.wordings[1:]
    ]
    if len({question.pair for question in questions}) < LEAST_PAIRS:
        raise TrainingFailed(
            f"the retriever needs {LEAST_PAIRS} pairs with several wordings; add variants"
        )
    torch.manual_seed(recipe.seed)
    rng = random.Random(recipe.seed)
    model = copy_of(base, device)
    if vectors is None:
        vectors = embed_texts(model, texts_of(pairs), device=device)
    task = _Tuned(model=model, recipe=recipe, device=device)
    learning = _open_top(model, recipe.layers)
    optimiser = torch.optim.AdamW(learning, lr=recipe.lr, weight_decay=recipe.weight_decay)
    per_epoch = math.ceil(min(len(questions), recipe.most_questions) / recipe.batch_size)
    steps, step = per_epoch * recipe.epochs, 0
    # Dropout stays off: two epochs overfit nothing, and the vectors to stay near were made so.
    model.eval()
    for epoch in range(1, recipe.epochs + 1):
        started, total = time.monotonic(), 0.0
        batches = hard_batches(questions, [pair.group for pair in pairs], recipe, rng)
        for batch in progress.steps(batches, per_epoch, f"retriever {epoch}/{recipe.epochs}"):
            for group in optimiser.param_groups:
                group["lr"] = recipe.lr * _pace(step, steps, recipe.warmup_share)
            loss = _loss(batch, pairs, task, vectors)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learning, recipe.clip_norm)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            total += loss.item()
            step += 1
        if not math.isfinite(total):
            raise TrainingFailed("the retriever's loss is not a number; try a lower rate")
        progress.say(
            f"retriever {epoch}/{recipe.epochs}: loss {total / per_epoch:.3f} "
            f"({time.monotonic() - started:.0f} s)"
        )
    return model.requires_grad_(False)


def _loss(
    batch: Sequence[Question], pairs: Sequence[TaughtPair], task: _Tuned, vectors: Vectors
) -> "torch.Tensor":
    """How far questions are from their pairs among those of the batch, and from where they were."""
    import torch
    from torch.nn import functional

    from nlu.device import autocast

    recipe, device = task.recipe, task.device
    places = sorted({question.pair for question in batch})
    asked = [question.text for question in batch]
    documents = [pairs[place].document for place in places]
    own = [pairs[place].wordings[0] for place in places]
    with autocast(device, training=True):
        # Apart, because documents are longer: padding costs as much as text.
        d = encode(task.model, documents, device)  # (pairs, dim)
        short = encode(task.model, [*asked, *own], device)  # (questions + pairs, dim)
    x, q = short[: len(asked)], short[len(asked) :]
    likeness = x @ d.T + recipe.question_weight * (x @ q.T)  # (questions, pairs)
    right = torch.tensor([places.index(question.pair) for question in batch])
    loss = functional.cross_entropy(likeness / recipe.temperature, right.to(device))
    for made, texts in ((x, asked), (d, documents)):
        before = torch.from_numpy(np.stack([vectors[text] for text in texts])).to(device)
        loss = loss + recipe.keep_weight * (made - before).square().sum(dim=1).mean()
    return loss


def hard_batches(
    questions: Sequence[Question],
    groups: Sequence[str],
    recipe: RetrieverRecipe,
    rng: random.Random,
) -> Iterator[list[Question]]:
    """All questions once, in batches of which `hard_share` are of one group or of few.

    What is near and wrong teaches most; the others keep the groups themselves apart.
    """
    chosen = list(questions)
    rng.shuffle(chosen)
    chosen = chosen[: recipe.most_questions]
    lots = {group: rng.random() for group in sorted(set(groups))}
    chosen.sort(
        key=lambda one: lots[groups[one.pair]] if rng.random() < recipe.hard_share else rng.random()
    )
    size = recipe.batch_size
    batches = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    rng.shuffle(batches)
    yield from batches


def copy_of(base: "SentenceTransformer | str | Path", device: str) -> "SentenceTransformer":
    """An encoder of our own to change: a model copied, a folder or a name loaded."""
    import copy

    from sentence_transformers import SentenceTransformer

    from nlu.base import encoder_path

    if isinstance(base, SentenceTransformer):
        return copy.deepcopy(base).to(device)
    path = str(base) if isinstance(base, Path) else encoder_path(base)
    return SentenceTransformer(path, device=device)


def texts_of(pairs: Sequence[TaughtPair]) -> list[str]:
    """All that is compared with a question, each text once."""
    return list(dict.fromkeys(text for pair in pairs for text in (pair.document, *pair.wordings)))


def embed_texts(
    model: "SentenceTransformer", texts: Sequence[str], *, device: str
) -> dict[str, Floats]:
    """The vector of each text, (dim,) of length one."""
    import torch

    from nlu.device import autocast

    found: dict[str, Floats] = {}
    ordered = sorted(set(texts), key=len)  # like lengths together: little padding
    for start in range(0, len(ordered), _EMBED_ROWS):
        chunk = ordered[start : start + _EMBED_ROWS]
        with torch.inference_mode(), autocast(device, training=False):
            made = encode(model, chunk, device).cpu().numpy()
        found |= zip(chunk, made.astype(np.float32), strict=True)
    return found


def encode(model: "SentenceTransformer", texts: Sequence[str], device: str) -> "torch.Tensor":
    """Embeddings of length one, (texts, dim), with their gradient where one is kept."""
    from torch.nn import functional

    made: dict[str, Any] = model.preprocess(list(texts))
    features = {name: part.to(device) for name, part in made.items() if hasattr(part, "to")}
    return functional.normalize(model(features)["sentence_embedding"].float(), dim=-1)


def _open_top(model: "SentenceTransformer", layers: int) -> "list[torch.nn.Parameter]":
    """Freezes all but the top layers of the encoder; returns what learns."""
    import torch

    model.requires_grad_(False)
    stacks = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) > 1
    ]
    if not stacks:
        raise TrainingFailed("the encoder has no stack of layers that could be tuned")
    top = max(stacks, key=len)[-layers:]
    top.requires_grad_(True)
    return list(top.parameters())


def _pace(step: int, steps: int, warmup_share: float) -> float:
    """Linear warm-up, then a cosine down to nothing."""
    warmup = max(1, int(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
