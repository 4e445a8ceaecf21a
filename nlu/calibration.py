"""Temperature-scaled confidences and what they are worth.

Temperature scaling and the expected calibration error follow Guo et al., On Calibration of Modern
Neural Networks, 2017.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_HIGHEST_FALLBACK = 0.5
_LOWEST_FALLBACK = 0.15
# The fallback may cost this share of the messages that were understood rightly.
_RIGHT_LOST = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How the outputs of a model become confidences."""

    temperatures: dict[str, float] = field(default_factory=dict)
    fallback_threshold: float = 0.4

    def probabilities(self, head: str, logits: Floats) -> Floats:
        """Softmax over the last axis at the head's temperature."""
        return softmax(logits / self.temperatures.get(head, 1.0))


def softmax(logits: Floats) -> Floats:
    """Softmax over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = exponents / exponents.sum(axis=-1, keepdims=True)
    return result


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """The temperature with the least negative log-likelihood; logits (n, classes), labels (n,)."""
    if len(labels) == 0:
        return 1.0

    def loss(log_t: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_t)
        peak = scaled.max(axis=1)
        total = peak + np.log(np.exp(scaled - peak[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(len(labels)), labels]).mean())

    # The loss has one minimum in log T: golden-section search.
    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5.0) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def expected_calibration_error(probabilities: Floats, labels: Ints, *, bins: int = 15) -> float:
    """Mean gap of confidence and accuracy over equally wide bins of confidence."""
    if len(labels) == 0:
        return 0.0
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for number in range(bins):
        inside = bin_of == number
        if inside.any():
            gap = abs(float(confidence[inside].mean()) - float(right[inside].mean()))
            error += gap * float(inside.mean())
    return error


def choose_fallback(probabilities: Floats, labels: Ints) -> float:
    """The confidence below which the bot should ask again.

    As high as it can be while at most 3 % of the rightly understood texts fall below it, and
    between 0.15 and 0.5.
    """
    right = probabilities.argmax(axis=1) == labels
    if not right.any():
        return _HIGHEST_FALLBACK
    confidence = probabilities.max(axis=1)[right]
    threshold = float(np.quantile(confidence, _RIGHT_LOST))
    return round(min(max(threshold, _LOWEST_FALLBACK), _HIGHEST_FALLBACK), 3)
