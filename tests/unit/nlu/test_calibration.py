import numpy as np
import pytest

from nlu.calibration import (
    Calibration,
    choose_fallback,
    expected_calibration_error,
    fit_temperature,
    softmax,
)


def noisy(scale: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 4)).astype(np.float32)
    labels = np.array([rng.choice(4, p=row) for row in softmax(logits)])
    return logits * scale, labels


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_temperature_undoes_overconfidence(scale: float) -> None:
    logits, labels = noisy(scale)
    assert fit_temperature(logits, labels) == pytest.approx(scale, rel=0.1)


def test_scaling_lowers_the_calibration_error() -> None:
    logits, labels = noisy(3.0)
    scaled = Calibration(temperatures={"intent": fit_temperature(logits, labels)})
    before = expected_calibration_error(softmax(logits), labels)
    after = expected_calibration_error(scaled.probabilities("intent", logits), labels)
    assert after < 0.03 < before


def test_error_of_sure_and_right_is_zero() -> None:
    assert expected_calibration_error(np.eye(3, dtype=np.float32), np.arange(3)) == 0.0


def test_fallback_costs_few_right_answers() -> None:
    logits, labels = noisy(1.0)
    probabilities = softmax(logits * 3)
    threshold = choose_fallback(probabilities, labels)
    right = probabilities.argmax(axis=1) == labels
    assert 0.15 <= threshold <= 0.5
    assert (probabilities.max(axis=1)[right] < threshold).mean() <= 0.031


def test_no_labels_leave_logits_as_they_are() -> None:
    assert fit_temperature(np.zeros((0, 3), np.float32), np.zeros(0, np.int64)) == 1.0
