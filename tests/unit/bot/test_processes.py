"""Which processes kefu consists of, by the settings."""

import pytest

from bot.learning.errors import BadPeriod
from bot.processes import kefu_processes
from bot.settings import Settings
from bot.up import _welcome


def names(**settings: object) -> list[str]:
    return [one.name for one in kefu_processes(Settings(_env_file=None, **settings))]


def test_the_learning_loop_comes_last_and_nothing_waits_for_it() -> None:
    assert names() == ["understanding", "dialogue", "actions", "gateway", "learning"]
    *others, learning = kefu_processes(Settings(_env_file=None, learn_port=6001))
    assert (learning.port, learning.ready_url) == (6001, "http://127.0.0.1:6001/readyz")
    assert (learning.after, learning.vital) == (("gateway",), False)
    assert all(one.vital for one in others)


def test_without_a_period_there_is_no_learning_process() -> None:
    assert names(learn_every="off") == ["understanding", "dialogue", "actions", "gateway"]


def test_a_period_that_cannot_be_read_is_told() -> None:
    with pytest.raises(BadPeriod, match="KEFU_LEARN_EVERY"):
        names(learn_every="weekly")


def test_the_shop_is_at_a_gateway() -> None:
    welcome = _welcome(Settings(_env_file=None, port=8080, learn_port=6001))
    assert "http://127.0.0.1:8080/demo" in welcome
    assert "6001" not in welcome
