"""The benchmark of the harvest runs in a process of its own and reports in the common shape."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.bench.harvest import HarvestFailed, harvest, peak_mb

REPOSITORY = Path(__file__).parents[2]


def test_a_harvest_of_a_made_up_log_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    done = CliRunner().invoke(harvest, ["--turns", "400", "--json"], catch_exceptions=False)
    report = json.loads(done.stdout)
    assert (report["bench"], report["ratios"]) == ("harvest", {})
    figures = report["figures"]
    assert figures["turns"] == 400
    assert 10 < figures["mb_before"] <= figures["peak_mb_harvest"] <= figures["peak_mb"] < 500
    assert figures["rows"] == sum(figures["rows_by_source"].values()) > 0
    assert set(figures["rows_by_source"]) == {"corrected", "rated", "pseudo"}


def test_a_log_that_cannot_be_read_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    address = "sqlite:////nowhere/at/all.db"
    with pytest.raises(HarvestFailed, match="without a report"):
        CliRunner().invoke(harvest, ["--database-url", address, "--json"], catch_exceptions=False)


def test_the_peak_only_grows() -> None:
    before = peak_mb()
    kept = b"x" * (64 << 20)
    assert peak_mb() >= before + 32
    del kept
    assert peak_mb() >= before + 32
