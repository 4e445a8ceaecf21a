import math
from dataclasses import replace

import pytest
import torch

from nlu.batches import IGNORED, Row, make_batch
from nlu.labels import Labels
from nlu.logit_adjustment import logit_adjustments
from nlu.recipe import Recipe
from nlu.tokens import Encoded
from nlu.training import joint_loss

_LABELS = Labels(intent=("old", "young", "dropped"), emotion=("calm",))
_ROW = Row(encoded=Encoded(ids=(2, 5, 3), words=()), intent=IGNORED, emotion=IGNORED, tags=None)


def _rows(intent: int, count: int) -> list[Row]:
    return [replace(_ROW, intent=intent)] * count


def test_only_a_label_with_few_texts_is_adjusted() -> None:
    rows = [*_rows(0, 300), *_rows(1, 5), replace(_ROW, emotion=0)]
    found = logit_adjustments(rows, _LABELS, 20)
    assert found["intent"].tolist() == pytest.approx([0.0, math.log(5 / 20), 0.0])
    assert found["emotion"].tolist() == pytest.approx([math.log(1 / 20)])
    assert "tags" not in found


def test_a_text_of_a_young_label_teaches_more_than_one_of_an_old_one() -> None:
    adjustments = logit_adjustments([*_rows(0, 300), *_rows(1, 5)], _LABELS, 20)

    def loss(intent: int, adjusted: bool) -> float:
        batch = make_batch(_rows(intent, 1))
        logits = (torch.zeros(1, 3), torch.zeros(1, 1))
        recipe = Recipe(label_smoothing=0.0)
        given = adjustments if adjusted else None
        return joint_loss(_LABELS.heads, logits, batch, recipe, given).item()

    assert loss(0, adjusted=False) == pytest.approx(math.log(3))
    assert loss(0, adjusted=True) == pytest.approx(math.log(2.25))
    assert loss(1, adjusted=True) == pytest.approx(math.log(9))
