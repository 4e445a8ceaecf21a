"""Nothing is lost, doubled or out of order, on both databases, also while processes are killed."""

from pathlib import Path

import pytest

from bot.bench.acknowledgement import measure_acknowledgements
from bot.bench.delivery import Size, is_clean, measure

SIZE = Size(messages=400, conversations=40, at_once=40, kills=1)


def test_on_sqlite_under_sigkill_of_each_process(tmp_path: Path) -> None:
    found = measure(tmp_path, f"sqlite:///{tmp_path / 'kefu.db'}", SIZE)
    assert is_clean(found), found
    assert all(count >= 1 for count in found["restarts"].values()), found
    assert found["repeated"] > 0
    assert found["reordered"] > 0
    assert found["exit_code_after_drain"] == 0


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_on_postgresql_with_two_gateways_under_sigkill_of_each_process(
    tmp_path: Path, postgres_url: str
) -> None:
    found = measure(tmp_path, postgres_url, SIZE)
    assert is_clean(found), found
    assert found["gateways"] == 2
    assert all(count >= 1 for count in found["restarts"].values()), found
    assert found["exit_code_after_drain"] == 0


def test_everything_is_acknowledged_while_nothing_behind_the_gateway_answers(
    tmp_path: Path,
) -> None:
    found = measure_acknowledgements(tmp_path)
    assert found["answers_called_back"] == found["messages"] // 2
