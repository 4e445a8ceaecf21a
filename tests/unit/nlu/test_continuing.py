"""Going on from a trained model: the new is learned, the known stays, a kill costs little."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from nlu import build as build_module
from nlu.batches import make_batch, make_rows
from nlu.build import Order, build
from nlu.bundle import Bundle, BundleStore, open_bundle
from nlu.checkpoint import Checkpoints, Course
from nlu.continuing import continued, continued_labels
from nlu.encoder import load_model, pretrained
from nlu.errors import TrainingFailed
from nlu.examples import Example, TrainingData
from nlu.head_start import start_heads
from nlu.labels import Labels, labels_of
from nlu.optimiser import make_optimiser
from nlu.progress import Progress
from nlu.recipe import Recipe
from nlu.retriever_gate import RetrieverTask
from nlu.retriever_pairs import TaughtPair
from nlu.seen import write_seen
from nlu.split import stable_split
from nlu.tokens import TextTokenizer
from nlu.training import Champion, Surroundings, Task, joint_loss, train

NEW = tuple(
    Example(text=text, intent="complain")
    for text in ("what a mess", "i am not happy with it", "bad, bad, bad", "this is a shame")
)


@pytest.fixture
def champion(models_dir: Path) -> Bundle:
    return open_bundle(BundleStore(models_dir).folder("first"))


def order(target: Path, champion: Bundle, **changes: Any) -> Order:
    recipe = replace(Recipe(validation_share=0.2, batch_size=8).continuing(100), epochs=2)
    return replace(
        Order(
            target=target,
            base_model=champion.manifest.base_model,
            device="cpu",
            recipe=recipe,
            parent=champion.version,
            now=datetime(2025, 2, 3, tzinfo=UTC),
            champion=champion,
        ),
        **changes,
    )


def test_labels_keep_their_places_and_none_is_lost() -> None:
    old = Labels(intent=("pay", "greet"), tags=("O", "B-x"))
    found = Labels(intent=("complain", "greet"), emotion=("angry", "happy"))
    assert continued_labels(old, found) == Labels(
        intent=("pay", "greet", "complain"), emotion=("angry", "happy"), tags=("O", "B-x")
    )


def test_a_new_label_changes_nothing_of_what_was_thought_of_the_old(
    champion: Bundle, tokenizer_file: Path, training_data: TrainingData
) -> None:
    labels = continued_labels(champion.labels, Labels(intent=("complain",)))
    tokenizer = TextTokenizer(tokenizer_file, 64)
    model = continued(champion.folder, champion.labels, labels)
    old = [example for example in training_data.examples if example.intent]
    rows = make_rows([*old, *NEW], labels, tokenizer)
    start_heads(model, rows, "cpu", learned=champion.labels)
    model.eval()
    before = load_model(champion.folder, champion.labels)
    batch = make_batch(rows)
    with torch.inference_mode():
        was, now = before(batch.ids, batch.mask)[0], model(batch.ids, batch.mask)[0]
    assert torch.allclose(was, now[:, : was.shape[1]], atol=1e-5)
    # The new label begins at its own texts.
    assert now[len(old) :, -1].mean() > now[: len(old), -1].mean() + 1


def test_only_what_is_new_is_learned_and_the_rest_is_rehearsed(
    tmp_path: Path, champion: Bundle, training_data: TrainingData
) -> None:
    data = training_data.merged(TrainingData(examples=NEW))
    target = tmp_path / "nlu" / "second"
    report = build(data, order(target, champion), Progress(quiet=True))
    assert 0 < report["examples"]["new"] <= len(NEW)
    second = open_bundle(target)
    assert second.labels.intent[:3] == champion.labels.intent
    assert second.labels.intent[3:] == ("complain",)
    with pytest.raises(TrainingFailed, match="nothing that is new to second"):
        build(data, order(tmp_path / "nlu" / "third", second), Progress(quiet=True))


def test_of_a_new_intent_all_is_learned_and_what_was_learned_is_never_held_out(
    tmp_path: Path, champion: Bundle, training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Task] = []

    def stop(task: Task, recipe: Recipe, around: Surroundings) -> Any:
        tasks.append(task)
        raise TrainingFailed("seen enough")

    many = tuple(Example(text=f"complaint number {n}", intent="complain") for n in range(200))
    more = tuple(
        Example(text=f"{intent} it {n}", intent=intent)
        for intent in champion.labels.intent
        for n in range(20)
    )
    usual = training_data.merged(TrainingData(examples=more))
    # By lot one of the few would be held out.
    few = next(
        many[n : n + 3]
        for n in range(100)
        if any(e in many[n : n + 3] for e in stable_split([*usual.examples, *many], 0.2, 7)[1])
    )
    monkeypatch.setattr(build_module, "train", stop)
    for known, new in (((), few), (few, many)):
        seen = tmp_path / f"champion-{len(known)}"
        shutil.copytree(champion.folder, seen)
        write_seen(seen, [*usual.examples, *known])
        goes_on = order(tmp_path / "nlu" / "next", replace(champion, folder=seen))
        data = usual.merged(TrainingData(examples=new))
        with pytest.raises(TrainingFailed, match="seen enough"):
            build(data, goes_on, Progress(quiet=True))
    first, second = tasks
    assert set(few) <= set(first.train)
    assert not set(few) & set(second.held_out)
    assert set(few) <= set(second.known)
    assert {e.intent for e in second.held_out} >= {"complain"}


def test_the_embedder_stays_the_champions_and_is_not_tuned_twice_on_the_same(
    tmp_path: Path, champion: Bundle, training_data: TrainingData
) -> None:
    pairs = [TaughtPair(id="p1", group="g", document="a b", wordings=("a",))]
    task = RetrieverTask(pairs=pairs, base=champion.manifest.base_model)
    data = training_data.merged(TrainingData(examples=NEW))
    second = order(tmp_path / "nlu" / "second", champion, retriever=task)
    report = build(data, second, Progress(quiet=True))
    assert report["retriever"]["decision"] == "kept"
    bundle = open_bundle(second.target)
    assert bundle.manifest.embedder_id == champion.manifest.embedder_id
    graphs = [
        (folder / "embedder.onnx").read_bytes() for folder in (champion.folder, bundle.folder)
    ]
    assert graphs[0] == graphs[1]
    further = tuple(Example(text=f"pay it {n}", intent="pay") for n in range(8))
    more = data.merged(TrainingData(examples=further))
    said = io.StringIO()
    third = order(tmp_path / "nlu" / "third", bundle, retriever=task)
    again = build(more, third, Progress(said))
    assert "those that the retriever was tuned on" in said.getvalue()
    assert again["retriever"] == report["retriever"]
    assert again["precision"]["embedder"] == report["precision"]["embedder"]


def test_a_teacher_keeps_what_is_rehearsed_nearer_to_what_was_thought(
    tmp_path: Path, champion: Bundle, training_data: TrainingData, tokenizer_file: Path
) -> None:
    tokenizer = TextTokenizer(tokenizer_file, 64)
    known = [e for e in training_data.examples if e.intent]
    # Every known text is now said to be something else: what holds it back is the teacher alone.
    wrong = [replace(e, intent="pay") for e in known]
    labels = champion.labels
    before = load_model(champion.folder, labels)
    batch = make_batch(make_rows(known, labels, tokenizer))
    with torch.inference_mode():
        was = before(batch.ids, batch.mask)[0].softmax(dim=-1)

    def moved(distil: float) -> float:
        recipe = Recipe(distil=distil, replay_least=100, epochs=4, lr=1e-3)
        task = Task(
            labels=labels,
            train=NEW[:1],
            known=wrong,
            held_out=[],
            tokenizer=tokenizer,
            champion=Champion(folder=champion.folder, labels=labels),
        )
        around = Surroundings(base_model="", device="cpu", progress=Progress(quiet=True))
        model = train(task, recipe, around).model
        with torch.inference_mode():
            now = model(batch.ids, batch.mask)[0].softmax(dim=-1)
        return float((was - now).abs().sum(dim=-1).mean())

    assert moved(0.9) < 0.7 * moved(0.0)


def test_an_example_of_half_the_weight_has_half_the_loss(
    training_data: TrainingData, tokenizer_file: Path
) -> None:
    labels = labels_of(training_data.examples)
    tokenizer = TextTokenizer(tokenizer_file, 64)
    example = Example(text="hello", intent="greet", spans=())
    logits = (torch.zeros(1, 3), torch.zeros(1, 2), torch.zeros(1, 3, len(labels.tags)))

    def loss(weight: float) -> float:
        batch = make_batch(make_rows([replace(example, weight=weight)], labels, tokenizer))
        return float(joint_loss(labels.heads, logits, batch, Recipe()))

    assert loss(0.5) == pytest.approx(loss(1.0) / 2)
    assert loss(1.0) > 0


def test_a_checkpoint_brings_everything_back_and_not_to_another_training(
    tmp_path: Path, tiny_encoder: Path, training_data: TrainingData, tokenizer_file: Path
) -> None:
    import random

    labels = labels_of(training_data.examples)
    batch = make_batch(make_rows(training_data.examples, labels, TextTokenizer(tokenizer_file, 64)))

    def parts() -> tuple[Any, ...]:
        torch.manual_seed(0)
        model = pretrained(str(tiny_encoder), labels).eval()
        return (model, *make_optimiser(model, Recipe(), 10), random.Random(0))

    def step(model: Any, optimiser: Any, schedule: Any, rng: Any) -> float:
        loss = joint_loss(labels.heads, model(batch.ids, batch.mask), batch, Recipe())
        loss.backward()
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        return loss.item() + rng.random() + float(torch.rand(1))

    first = parts()
    step(*first)
    course = Course(epoch=1, best_state=first[0].state_dict(), history=[{"epoch": 1.0}])
    Checkpoints(tmp_path, "a").save(course, *first)
    expected = [step(*first) for _ in range(3)]
    second = parts()
    assert Checkpoints(tmp_path, "b").restore(*second) is None
    found = Checkpoints(tmp_path, "a").restore(*second)
    assert found is not None
    assert (found.epoch, found.history) == (1, [{"epoch": 1.0}])
    assert [step(*second) for _ in range(3)] == pytest.approx(expected, abs=1e-6)
    # One that is damaged counts as none.
    next(tmp_path.glob("*.safetensors")).write_bytes(b"x")
    assert Checkpoints(tmp_path, "a").restore(*parts()) is None


KILLED = """
import os, signal, sys
from nlu import checkpoint

save = checkpoint.Checkpoints.save

def save_and_die(self, course, *parts):
    save(self, course, *parts)
    if course.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.Checkpoints.save = save_and_die
from nlu.cli import train
train(sys.argv[1:])
"""


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(
    tmp_path: Path, tiny_encoder: Path
) -> None:
    table = tmp_path / "train.csv"
    rows = [f"{text} {n},{name}" for name, text in (("a", "hello"), ("b", "pay")) for n in range(8)]
    table.write_text("text,intent\n" + "\n".join(rows) + "\n")
    environment = {**os.environ, "KEFU_MODELS_DIR": str(tmp_path), "KEFU_DEVICE": "cpu"}

    def run(code: str, name: str, checkpoints: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", code, "--intents", str(table), "--epochs", "3", "--json"]
        command += ["--base-model", str(tiny_encoder), "--out", str(tmp_path / "nlu" / name)]
        command += ["--checkpoints", str(tmp_path / checkpoints), "--threads", "1"]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=100, check=False
        )

    plain = "import sys; from nlu.cli import train; train(sys.argv[1:])"
    whole = json.loads(run(plain, "whole", "one").stdout)
    assert run(KILLED, "killed", "two").returncode == -signal.SIGKILL
    assert not (tmp_path / "nlu" / "killed").exists()
    again = run(plain, "killed", "two")
    assert "going on after epoch 2" in again.stderr
    report = json.loads(again.stdout)
    assert [e["loss"] for e in report["history"]] == [e["loss"] for e in whole["history"]]
    assert report["best_epoch"] == whole["best_epoch"]
