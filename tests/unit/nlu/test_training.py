from pathlib import Path

import pytest
import torch

from nlu.batches import IGNORED, make_batch, make_rows, shuffled_batches
from nlu.encoder import pretrained
from nlu.examples import Example, TrainingData
from nlu.head_start import start_heads
from nlu.labels import Labels, labels_of
from nlu.optimiser import freeze, make_optimiser
from nlu.recipe import Recipe
from nlu.tokens import TextTokenizer
from nlu.training import joint_loss, validate


@pytest.fixture
def labels(training_data: TrainingData) -> Labels:
    return labels_of(training_data.examples)


@pytest.fixture
def tokenizer(tokenizer_file: Path) -> TextTokenizer:
    return TextTokenizer(tokenizer_file, 64)


def test_each_row_has_only_its_own_targets(labels: Labels, tokenizer: TextTokenizer) -> None:
    examples = [
        Example(text="hello", intent="greet", spans=()),
        Example(text="so bad", emotion="angry"),
    ]
    batch = make_batch(make_rows(examples, labels, tokenizer))
    assert batch.targets["intent"].tolist() == [0, IGNORED]
    assert batch.targets["emotion"].tolist() == [IGNORED, 0]
    assert batch.targets["tags"].tolist() == [
        [IGNORED, 0, IGNORED, IGNORED],  # [CLS] hello [SEP], padding
        [IGNORED] * 4,
    ]


def test_an_epoch_meets_every_row_once(
    training_data: TrainingData, labels: Labels, tokenizer: TextTokenizer
) -> None:
    import random

    rows = make_rows(training_data.examples, labels, tokenizer)
    batches = list(shuffled_batches(rows, 4, random.Random(1)))
    assert sum(len(batch.ids) for batch in batches) == len(rows)
    assert all(len(batch.ids) <= 4 for batch in batches)


def test_heads_weigh_by_their_share_of_the_batch(labels: Labels, tokenizer: TextTokenizer) -> None:
    recipe = Recipe(label_smoothing=0.0)
    examples = [Example(text="hello", intent="greet"), Example(text="so bad", emotion="angry")]
    batch = make_batch(make_rows(examples, labels, tokenizer))
    logits = (torch.zeros(2, 3), torch.zeros(2, 2), torch.zeros(2, 4, len(labels.tags)))
    loss = joint_loss(labels.heads, logits, batch, recipe)
    expected = (torch.log(torch.tensor(3.0)) + torch.log(torch.tensor(2.0))) / 2
    assert loss.item() == pytest.approx(expected.item())


def test_heads_that_start_from_centroids_know_the_training_texts(
    tiny_encoder: Path, training_data: TrainingData, labels: Labels, tokenizer: TextTokenizer
) -> None:
    rows = make_rows(training_data.examples, labels, tokenizer)
    torch.manual_seed(0)
    model = pretrained(str(tiny_encoder), labels)
    before = validate(model, rows, "cpu")["intent accuracy"]
    start_heads(model, rows, "cpu")
    after = validate(model, rows, "cpu")["intent accuracy"]
    assert after > 0.6 > before


def test_lower_layers_learn_slower(tiny_encoder: Path, labels: Labels) -> None:
    recipe = Recipe(lr=1.0, layer_decay=0.5, head_lr=3.0)
    model = pretrained(str(tiny_encoder), labels)
    optimiser, schedule = make_optimiser(model, recipe, 100)
    rates = {group["initial_lr"] for group in optimiser.param_groups}
    assert rates == {3.0, 1.0, 0.5, 0.25}  # heads, layers 1 and 0, embeddings
    seen = []
    for _ in range(100):
        seen.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert seen.index(max(seen)) == 9  # a tenth of the steps warms up
    assert seen[-1] < 0.01 * max(seen)


def test_few_examples_are_met_more_often() -> None:
    recipe = Recipe(batch_size=32)
    assert recipe.fitted(10_000).epochs == recipe.epochs
    assert recipe.fitted(350).epochs == 11
    assert recipe.fitted(1).epochs == recipe.most_epochs


def test_what_is_frozen_does_not_learn_and_the_rest_does(
    tiny_encoder: Path, labels: Labels
) -> None:
    model = pretrained(str(tiny_encoder), labels)
    freeze(model, 1)
    learning = {name for name, value in model.named_parameters() if value.requires_grad}
    assert not {name for name in learning if "embeddings" in name or ".layer.0." in name}
    assert {name for name in learning if ".layer.1." in name}
    assert {"heads.intent.weight", "heads.intent.bias"} <= learning
    optimiser, _ = make_optimiser(model, Recipe(), 10)
    counted = sum(len(group["params"]) for group in optimiser.param_groups)
    assert counted == len(learning)
