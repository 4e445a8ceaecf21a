"""Keeps a label that has few texts yet from being taken for those that have many.

After Menon et al., "Long-tail learning via logit adjustment", ICLR 2021: in training each logit
gets the logarithm of its label's share of the texts, so that the model learns what speaks for a
label and not how often it was taught. That an intent is young says nothing of how often it is
asked for.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nlu.batches import Row
from nlu.labels import TEXT_HEADS, Labels

Adjustments = Mapping[str, Tensor]  # by head: (labels,), what is added to its logits in training


def logit_adjustments(
    rows: Sequence[Row], labels: Labels, enough: int, device: str = "cpu"
) -> Adjustments:
    """For each head log(texts / enough), and zero for labels that have enough texts, or none."""
    return {
        head: _of(head, rows, labels, enough).to(device) for head in TEXT_HEADS if labels.of(head)
    }


def _of(head: str, rows: Sequence[Row], labels: Labels, enough: int) -> Tensor:
    counts = Counter(getattr(row, head) for row in rows)
    # What no text teaches has nothing to be helped with.
    texts = [counts[number] or enough for number in range(len(labels.of(head)))]
    return torch.tensor(texts, dtype=torch.float32).clamp(max=enough).div(enough).log()
