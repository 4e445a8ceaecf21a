"""AdamW with layer-wise learning rates, linear warm-up and cosine decay."""

import math
import re
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from nlu.encoder import JointModel
from nlu.recipe import Recipe

_LAYER = re.compile(r"\.layers?\.(\d+)\.")


def make_optimiser(
    model: JointModel, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """The optimiser and its schedule for a run of `steps` batches."""
    layers = 1 + max(
        (int(found[1]) for name, _ in model.named_parameters() if (found := _LAYER.search(name))),
        default=0,
    )
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        # Biases and layer norms are vectors: decaying them only costs accuracy.
        decay = recipe.weight_decay if parameter.dim() > 1 else 0.0
        groups.setdefault((_rate(name, layers, recipe), decay), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": parameters, "lr": lr, "weight_decay": decay}
        for (lr, decay), parameters in groups.items()
    ]
    optimiser = torch.optim.AdamW(options, fused=True)
    warmup = max(1, int(steps * recipe.warmup_share))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, steps - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

    return optimiser, LambdaLR(optimiser, factor)


def freeze(model: JointModel, layers: int | None) -> None:
    """Keep the word embeddings and so many of the lowest layers as they are; None: nothing."""
    if layers is None:
        return
    for name, parameter in model.encoder.named_parameters():
        found = _LAYER.search(f".{name}")
        parameter.requires_grad_(found is not None and int(found[1]) >= layers)


def _rate(name: str, layers: int, recipe: Recipe) -> float:
    if name.startswith("heads."):
        return recipe.head_lr
    found = _LAYER.search(name)
    depth = layers - 1 - int(found[1]) if found else layers  # embeddings lie below all layers
    return recipe.lr * recipe.layer_decay**depth
