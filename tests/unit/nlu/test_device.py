import pytest

from nlu.base import encoder_path
from nlu.device import choose_device
from nlu.errors import EncoderMissing, NluError


def test_cpu_is_cpu() -> None:
    assert choose_device("cpu") == "cpu"


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(NluError, match="KEFU_DEVICE"):
        choose_device("tpu")


def test_a_folder_without_an_encoder_is_refused(tmp_path) -> None:
    with pytest.raises(EncoderMissing, match=r"config\.json"):
        encoder_path(str(tmp_path))


def test_other_names_are_left_alone() -> None:
    assert encoder_path("google-bert/bert-base-uncased") == "google-bert/bert-base-uncased"
