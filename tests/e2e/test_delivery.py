"""Nothing is lost, doubled or out of order, on both databases, also while processes are killed."""

import asyncio
from pathlib import Path

import pytest

from bot.bench.delivery import is_clean, run_part
from bot.bench.system import private_system

SIZE = (80, 10)


def test_on_sqlite_and_under_sigkill_of_each_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kefu.db'}"
    with private_system(tmp_path) as system:
        calm = asyncio.run(run_part(system, url, SIZE, kill=False))
        killed = asyncio.run(run_part(system, url, SIZE, kill=True))
        restarts = system.restarts()
        exit_code = system.stop()
    assert is_clean(calm), calm
    assert is_clean(killed), killed
    assert all(count >= 1 for count in restarts.values()), restarts
    assert exit_code == 0


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_on_postgresql_and_under_sigkill_of_each_process(tmp_path: Path, postgres_url: str) -> None:
    settings = {"KEFU_DATABASE_URL": postgres_url}
    with private_system(tmp_path, settings) as system:
        calm = asyncio.run(run_part(system, postgres_url, SIZE, kill=False))
        killed = asyncio.run(run_part(system, postgres_url, SIZE, kill=True))
    assert is_clean(calm), calm
    assert is_clean(killed), killed
