"""Fine-tunes one encoder with its heads on the examples of all of them at once."""

import hashlib
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nlu.batches import IGNORED, Batch, Row, make_batch, make_rows, shuffled_batches
from nlu.board import Board
from nlu.calibration import Ints
from nlu.checkpoint import Checkpoints, Course
from nlu.continuing import continued
from nlu.device import autocast
from nlu.encoder import JointModel, load_model, pretrained
from nlu.errors import TrainingFailed
from nlu.examples import Example
from nlu.head_start import start_heads
from nlu.labels import Labels
from nlu.logit_adjustment import Adjustments, logit_adjustments
from nlu.metrics import accuracy, macro_f1
from nlu.optimiser import freeze, make_optimiser
from nlu.progress import Progress
from nlu.recipe import Recipe
from nlu.teacher import Teacher
from nlu.tokens import TextTokenizer, token_batches

_VALIDATION_TOKENS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The best model of a run and how the run went."""

    model: JointModel
    history: tuple[dict[str, float], ...]  # one entry an epoch
    best_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The trained model that a training goes on from."""

    folder: Path
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to train: the split data with their labels and tokens.

    With a champion, `train` is what is new to it and `known` what it learned before.
    """

    labels: Labels
    train: Sequence[Example]
    held_out: Sequence[Example]
    tokenizer: TextTokenizer
    known: Sequence[Example] = ()
    champion: Champion | None = None

    @property
    def examples(self) -> list[Example]:
        """All that the model will have learned from."""
        return [*self.known, *self.train]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a training runs, and where its traces go."""

    base_model: str
    device: str
    progress: Progress
    checkpoints: Path | None = None
    board: Path | None = None


def train(task: Task, recipe: Recipe, around: Surroundings) -> Trained:
    """Trains until the validation score has not risen for `recipe.patience` epochs.

    One that was killed goes on from its last epoch, if it is called with the same again.
    """
    torch.manual_seed(recipe.seed)
    rng = random.Random(recipe.seed)
    device, progress = around.device, around.progress
    rows = make_rows(task.train, task.labels, task.tokenizer)
    known = [
        replace(row, rehearsal=number)
        for number, row in enumerate(make_rows(task.known, task.labels, task.tokenizer))
    ]
    held_out = make_rows(task.held_out, task.labels, task.tokenizer)
    model = _first_model(task, around, rows)
    teacher = _teacher(task, recipe, device)
    adjustments = logit_adjustments([*known, *rows], task.labels, recipe.enough_texts, device)
    replayed = _replayed(recipe, len(rows), len(known))
    per_epoch = math.ceil((len(rows) + replayed) / recipe.batch_size)
    freeze(model, recipe.frozen_layers)
    optimiser, schedule = make_optimiser(model, recipe, per_epoch * recipe.epochs)
    checkpoints = Checkpoints(around.checkpoints, _fingerprint(task, recipe, around))
    parts = (model, optimiser, schedule, rng)
    course = checkpoints.restore(*parts) or Course(best_state={}, history=[])
    if course.epoch:
        progress.say(f"going on after epoch {course.epoch}")
    board = Board(around.board)
    # About a standard error of a score near 0.9.
    tie = max(recipe.tie, 0.3 / math.sqrt(max(len(held_out), 1)))
    while course.epoch < recipe.epochs:
        if course.epoch and course.epoch - course.best_epoch >= recipe.patience:
            progress.say(
                f"no better for {recipe.patience} epochs; keeping epoch {course.best_epoch}"
            )
            break
        epoch = course.epoch + 1
        started = time.monotonic()
        model.train()
        total = 0.0
        of_epoch = rows + rng.sample(known, replayed)
        batches = shuffled_batches(of_epoch, recipe.batch_size, rng)
        for batch in progress.steps(batches, per_epoch, f"epoch {epoch}/{recipe.epochs}"):
            with autocast(device, training=True):
                logits = model(batch.ids.to(device), batch.mask.to(device))
            loss = joint_loss(task.labels.heads, logits, batch, recipe, adjustments)
            if teacher is not None:
                held = teacher.loss(task.labels.heads, logits, batch, recipe)
                loss = loss + recipe.distil * held
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad(set_to_none=True)
            total += loss.item()
        if not math.isfinite(total):
            raise TrainingFailed("the loss is not a number; try a lower --lr")
        scores = validate(model, held_out, device)
        took = time.monotonic() - started
        point = {"loss": total / per_epoch, "seconds": took, **scores}
        course.history.append({"epoch": epoch, **point})
        board.write(point, epoch)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        progress.say(
            f"epoch {epoch}/{recipe.epochs}: loss {total / per_epoch:.3f}, {shown} ({took:.0f} s)"
        )
        course.epoch = epoch
        # Without a held-out example every epoch counts as better.
        score = _pooled(scores, held_out) if scores else float(epoch)
        if score > course.best_score - tie:
            course.best_score, course.best_epoch = max(score, course.best_score), epoch
            course.best_state = {name: value.clone() for name, value in model.state_dict().items()}
        checkpoints.save(course, *parts)
    board.close()
    model.load_state_dict(course.best_state)
    return Trained(
        model=model.eval().cpu(), history=tuple(course.history), best_epoch=course.best_epoch
    )


def _first_model(task: Task, around: Surroundings, rows: Sequence[Row]) -> JointModel:
    """The model that training begins with."""
    champion = task.champion
    if champion is None:
        model = pretrained(around.base_model, task.labels).to(around.device)
        start_heads(model, rows, around.device)
        return model
    model = continued(champion.folder, champion.labels, task.labels).to(around.device)
    start_heads(model, rows, around.device, learned=champion.labels)
    return model


def _teacher(task: Task, recipe: Recipe, device: str) -> Teacher | None:
    champion = task.champion
    if champion is None or not task.known or not recipe.distil:
        return None
    return Teacher(load_model(champion.folder, champion.labels), device)


def _replayed(recipe: Recipe, new: int, known: int) -> int:
    """How many examples that the champion knows are rehearsed in an epoch."""
    return min(known, max(round(recipe.replay * new), recipe.replay_least))


def _fingerprint(task: Task, recipe: Recipe, around: Surroundings) -> str:
    """What two trainings share whose states fit each other."""
    champion = None if task.champion is None else task.champion.folder.name
    what = (recipe, around.base_model, champion, task.train, task.known, task.held_out, task.labels)
    return hashlib.sha256(repr(what).encode()).hexdigest()


def joint_loss(
    heads: Sequence[str],
    logits: Sequence[Tensor],
    batch: Batch,
    recipe: Recipe,
    adjustments: Adjustments | None = None,
) -> Tensor:
    """The sum of the heads' losses, each weighed by its share of the batch's rows."""
    loss = logits[0].new_zeros((), dtype=torch.float32)
    rows = len(batch.ids)
    # What a teacher has a word in counts less for its label.
    weights = batch.weights * torch.where(batch.rehearsal < 0, 1.0, 1.0 - recipe.distil)  # (batch,)
    for head, output in zip(heads, logits, strict=True):
        target = batch.targets[head].to(output.device)
        if head == "tags":
            labelled = int((target != IGNORED).any(dim=1).sum())
            weight, smoothing = recipe.tag_weight, 0.0
            each = weights.to(output.device)[:, None].expand(target.shape)  # (batch, tokens)
        else:
            labelled = int((target != IGNORED).sum())
            weight, smoothing = 1.0, recipe.label_smoothing
            each = weights.to(output.device)
        if labelled == 0:
            continue
        if adjustments is not None and head in adjustments:
            output = output + adjustments[head]
        losses = functional.cross_entropy(
            output.float().flatten(0, -2),
            target.flatten(),
            ignore_index=IGNORED,
            label_smoothing=smoothing,
            reduction="none",
        )
        known = (target != IGNORED).sum()
        mean = (losses * each.flatten()).sum() / known
        loss = loss + mean * weight * labelled / rows
    return loss


def validate(model: JointModel, rows: Sequence[Row], device: str) -> dict[str, float]:
    """Intent accuracy, emotion macro-F1 and F1 of entity words, each if the rows have them."""
    model.eval()
    truth: dict[str, list[int]] = {head: [] for head in model.labels.heads}
    guesses: dict[str, list[int]] = {head: [] for head in model.labels.heads}
    lengths = [len(row.encoded.ids) for row in rows]
    for chunk in token_batches(lengths, max_tokens=_VALIDATION_TOKENS, max_rows=64):
        batch = make_batch([rows[index] for index in chunk])
        with torch.inference_mode(), autocast(device, training=False):
            logits = model(batch.ids.to(device), batch.mask.to(device))
        for head, output in zip(model.labels.heads, logits, strict=True):
            target = batch.targets[head].flatten().numpy()
            guess = output.argmax(dim=-1).flatten().cpu().numpy()
            known = target != IGNORED
            truth[head] += target[known].tolist()
            guesses[head] += guess[known].tolist()
    scores = {}
    if truth.get("intent"):
        scores["intent accuracy"] = accuracy(*_named(truth["intent"], guesses["intent"]))
    if truth.get("emotion"):
        scores["emotion macro-F1"] = macro_f1(*_named(truth["emotion"], guesses["emotion"]))
    if truth.get("tags"):
        scores["entity words F1"] = _inside_f1(np.array(truth["tags"]), np.array(guesses["tags"]))
    return scores


def _pooled(scores: dict[str, float], rows: Sequence[Row]) -> float:
    """One score of all heads, each weighed by how many held-out texts it was measured on."""
    texts = {
        "intent accuracy": sum(row.intent != IGNORED for row in rows),
        "emotion macro-F1": sum(row.emotion != IGNORED for row in rows),
        "entity words F1": sum(any(tag > 0 for tag in row.tags or ()) for row in rows),
    }
    weights = {name: max(texts[name], 1) for name in scores}
    return sum(scores[name] * weights[name] for name in scores) / sum(weights.values())


def _named(truth: list[int], guesses: list[int]) -> tuple[list[str], list[str]]:
    return list(map(str, truth)), list(map(str, guesses))


def _inside_f1(truth: Ints, guesses: Ints) -> float:
    right = int(((truth == guesses) & (truth != 0)).sum())
    both = int((truth != 0).sum() + (guesses != 0).sum())
    return 2 * right / both if both else 1.0
