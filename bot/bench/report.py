"""The one shape in which a benchmark reports: machine, ratios with intervals, figures."""

import json
import os
import platform
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import psutil

RESAMPLES = 2000


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; `share` in 0..1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratio(ours: Sequence[float], theirs: Sequence[float], seed: int = 7) -> dict[str, float]:
    """Median of ours over median of theirs, with the 95 % bootstrap interval of that ratio."""
    draw = random.Random(seed)

    def resampled(values: Sequence[float]) -> float:
        return statistics.median(draw.choices(values, k=len(values)))

    ratios = sorted(resampled(ours) / resampled(theirs) for _ in range(RESAMPLES))
    return {
        "ratio": round(statistics.median(ours) / statistics.median(theirs), 3),
        "low": round(ratios[int(0.025 * RESAMPLES)], 3),
        "high": round(ratios[int(0.975 * RESAMPLES)], 3),
    }


def emit(report: dict[str, object], *, as_json: bool) -> None:
    """Print a report as one JSON object, or its figures a line each."""
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    for part in ("ratios", "figures"):
        found = report[part]
        assert isinstance(found, dict)
        for name, value in found.items():
            click.echo(f"{name}: {value}")


def progress(text: str) -> None:
    """One line on stderr, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(text, err=True)
