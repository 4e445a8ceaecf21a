"""Figures and intervals of the benchmarks."""

from bot.bench.report import percentile, ratio


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([5.0, 1.0, 3.0], 0.5) == 3.0
    assert percentile([1.0, 2.0], 0.99) == 2.0


def test_a_ratio_lies_in_its_interval_and_the_interval_covers_the_truth() -> None:
    found = ratio([10.0, 11.0, 9.0, 10.5, 9.5] * 4, [2.0, 2.2, 1.8, 2.1, 1.9] * 4)
    assert found["low"] <= found["ratio"] <= found["high"]
    assert found["low"] <= 5.0 <= found["high"]
