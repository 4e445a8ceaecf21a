"""How a model is trained: the figures of a run, each with its reason."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Hyper-parameters of one training run."""

    epochs: int = 6
    # Few examples make few steps an epoch: they get more epochs, up to so many.
    least_steps: int = 120
    most_epochs: int = 20
    batch_size: int = 32
    # The encoder's top layer; each lower layer learns `layer_decay` times slower, because lower
    # layers hold what is true of any text.
    lr: float = 1e-4
    layer_decay: float = 0.9
    # Heads are one layer, started from the data or from noise, and may move faster.
    head_lr: float = 1e-3
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    # A label with fewer texts than this gets log(texts / this) added to its logits in training;
    # from here on labels are more and more taught as often as they are asked for.
    enough_texts: int = 20
    warmup_share: float = 0.1
    # Entity tags are mostly O: their loss is small beside the other heads' and counts more.
    tag_weight: float = 2.0
    validation_share: float = 0.1
    # A later epoch is kept although its score is this much lower: a few hundred texts cannot tell
    # such scores apart, and later weights, at a lower rate, are the more settled ones. It is at
    # least a standard error of the score.
    tie: float = 0.005
    # Epochs that are not kept before training stops.
    patience: int = 3
    max_tokens: int = 128
    seed: int = 7
    clip_norm: float = 1.0
    # None: all of the encoder learns. 0: its word embeddings do not, which are half of its weights
    # and a third of a step's time; n: its n lowest layers do not either.
    frozen_layers: int | None = None
    # The rest is for a training that goes on from a trained model.
    # Examples that the model knows, rehearsed each epoch for each new one, so that what it knows
    # is not lost; and at least so many, for a handful of new ones moves weights as far as many.
    replay: float = 2.0
    replay_least: int = 3000
    # Of the loss of a rehearsed example, the part that holds it to what the model thought before.
    distil: float = 0.5
    # Softens both sides of it, so that what is between the labels counts too.
    distil_temperature: float = 2.0

    def fitted(self, examples: int) -> "Recipe":
        """This recipe for a training on so many examples."""
        steps = max(1, math.ceil(examples / self.batch_size))
        wanted = math.ceil(self.least_steps / steps)
        return replace(self, epochs=max(self.epochs, min(wanted, self.most_epochs)))

    def continuing(self, examples: int) -> "Recipe":
        """This recipe for a model that is trained already, on so many examples, new and known.

        Short and careful. Where there are few they are all rehearsed, and one epoch more is cheap.
        """
        return replace(self, epochs=4 if examples < self.replay_least else 3, frozen_layers=2)
