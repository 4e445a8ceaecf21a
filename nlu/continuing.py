"""Goes on from the weights of a trained model: old labels keep what they know, new ones begin."""

from dataclasses import replace
from pathlib import Path

import torch

from nlu.encoder import JointModel, load_model
from nlu.labels import HEADS, Labels


def continued_labels(old: Labels, found: Labels) -> Labels:
    """The labels of a model that goes on: those of before in their order, then the new ones.

    Nothing is dropped for want of examples; a head that there was not begins with what is found.
    """
    return replace(
        old,
        **{
            head: old.of(head) + tuple(n for n in found.of(head) if n not in old.of(head))
            for head in HEADS
        },
    )


def continued(folder: Path, old: Labels, labels: Labels) -> JointModel:
    """The model of a bundle with room for the labels that are new; see `start_heads` for those."""
    before = load_model(folder, old)
    model = JointModel(before.encoder, labels)
    with torch.no_grad():
        for head in labels.heads:
            fresh = model.head(head)
            fresh.bias.zero_()
            if head in before.heads:
                known, learned = len(old.of(head)), before.head(head)
                fresh.weight[:known] = learned.weight
                fresh.bias[:known] = learned.bias
    return model
