"""The port between a model and those who ask it: texts in, logits and embeddings out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nlu.tokens import Encoded

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A text as an engine wants it."""

    text: str
    encoded: Encoded


class Engine(Protocol):
    """One way to run the models of a bundle."""

    @property
    def mode(self) -> str:
        """What the answers call it: cuda, cpu-int8, cpu or lexical."""
        ...

    @property
    def calibration_prefix(self) -> str:
        """Put before a head's name to find its temperature."""
        ...

    def classify(self, batch: Sequence[Query]) -> dict[str, Floats]:
        """Logits of each head: (batch, labels), and (batch, tokens, labels) for `tags`."""
        ...

    def embed(self, batch: Sequence[Query]) -> Floats:
        """L2-normalised sentence embeddings (batch, dim)."""
        ...
