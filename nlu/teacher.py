"""Holds a model that goes on to what it thought before, on the examples it rehearses.

After Li and Hoiem, "Learning without Forgetting", IEEE TPAMI 40 (2018), with examples of before in
the place of new ones; the softened divergence is Hinton, Vinyals and Dean's (2015).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nlu.batches import Batch
from nlu.device import autocast
from nlu.encoder import JointModel
from nlu.recipe import Recipe

_HEADS = ("intent", "emotion")


class Teacher:
    """The model of before; its labels are the first of the new one's."""

    def __init__(self, model: JointModel, device: str) -> None:
        self._model = model.to(device).eval()
        self._device = device

    def loss(
        self, heads: Sequence[str], logits: Sequence[Tensor], batch: Batch, recipe: Recipe
    ) -> Tensor:
        """How far the rehearsed rows are from what was thought of them, as a share of all rows."""
        loss = logits[0].new_zeros((), dtype=torch.float32)
        chosen = batch.rehearsed.nonzero().flatten()  # (rehearsed,)
        if len(chosen) == 0:
            return loss
        with torch.no_grad(), autocast(self._device, training=False):
            before = self._model(
                batch.ids[chosen].to(self._device), batch.mask[chosen].to(self._device)
            )
        thought = dict(zip(self._model.labels.heads, before, strict=True))
        soft = recipe.distil_temperature
        for head, output in zip(heads, logits, strict=True):
            if head not in _HEADS or head not in thought:
                continue
            target = (thought[head].float() / soft).softmax(dim=-1)  # (rehearsed, old labels)
            guess = output[chosen.to(output.device)].float()[:, : target.shape[1]] / soft
            divergence = functional.kl_div(guess.log_softmax(dim=-1), target, reduction="batchmean")
            loss = loss + divergence * soft**2 * len(chosen) / len(batch.ids)
        return loss
