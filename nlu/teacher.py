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
from nlu.labels import TEXT_HEADS
from nlu.recipe import Recipe


class Teacher:
    """The model of before; its labels are the first of the new one's.

    What it thinks of a row it is asked once: it stays the same, and thinking is a third of a step.
    """

    def __init__(self, model: JointModel, device: str) -> None:
        self._model = model.to(device).eval()
        self._device = device
        self._heads = [head for head in TEXT_HEADS if head in model.labels.heads]
        self._thoughts: dict[str, dict[int, Tensor]] = {head: {} for head in self._heads}

    def loss(
        self, heads: Sequence[str], logits: Sequence[Tensor], batch: Batch, recipe: Recipe
    ) -> Tensor:
        """How far the rehearsed rows are from what was thought of them, as a share of all rows."""
        loss = logits[0].new_zeros((), dtype=torch.float32)
        chosen = (batch.rehearsal >= 0).nonzero().flatten()  # (rehearsed,)
        if len(chosen) == 0 or not self._heads:
            return loss
        self._think(batch, chosen)
        numbers = batch.rehearsal[chosen].tolist()
        soft = recipe.distil_temperature
        for head, output in zip(heads, logits, strict=True):
            if head not in self._heads:
                continue
            thought = torch.stack([self._thoughts[head][number] for number in numbers])
            target = (thought / soft).softmax(dim=-1)  # (rehearsed, old labels)
            guess = output[chosen.to(output.device)].float()[:, : target.shape[1]] / soft
            divergence = functional.kl_div(guess.log_softmax(dim=-1), target, reduction="batchmean")
            loss = loss + divergence * soft**2 * len(chosen) / len(batch.ids)
        return loss

    def _think(self, batch: Batch, chosen: Tensor) -> None:
        """Looks at those of the chosen rows that it has not seen yet."""
        seen = self._thoughts[self._heads[0]]
        fresh = chosen[[number not in seen for number in batch.rehearsal[chosen].tolist()]]
        if len(fresh) == 0:
            return
        with torch.no_grad(), autocast(self._device, training=False):
            found = self._model(
                batch.ids[fresh].to(self._device), batch.mask[fresh].to(self._device)
            )
        numbers = batch.rehearsal[fresh].tolist()
        for head, output in zip(self._model.labels.heads, found, strict=True):
            if head in self._thoughts:
                self._thoughts[head] |= zip(numbers, output.float(), strict=True)
