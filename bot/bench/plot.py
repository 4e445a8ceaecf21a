"""Draws the weeks of a benchmark of learning as an SVG for the docs."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from bot.learning.proof.charts import Axis

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 260, 56, 16, 34, 34
_COLOURS = ("#1b6ca8", "#c2571a", "#2e7d32", "#7b3f98")


def write_lines(path: Path, title: str, series: Mapping[str, Points], *, percent: bool) -> None:
    """One line for each name, over weeks; values are shares where they are `percent`."""
    points = [point for line in series.values() for point in line]
    low, high = min(y for _, y in points), max(y for _, y in points)
    air = (high - low or 1.0) * 0.08
    across = Axis(
        low=min(x for x, _ in points),
        high=max(x for x, _ in points),
        start=_LEFT,
        end=_WIDTH - _RIGHT,
    )
    up = Axis(low=max(0.0, low - air), high=high + air, start=_HEIGHT - _BOTTOM, end=_TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
        f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>'
    ]
    for value, label in _ticks(up, percent=percent):
        parts.append(
            f'<path d="M{_LEFT},{value}H{_WIDTH - _RIGHT}" stroke="#dddddd"/>'
            f'<text x="{_LEFT - 6}" y="{value + 4}" text-anchor="end">{label}</text>'
        )
    for x in sorted({x for x, _ in points}):
        parts.append(
            f'<text x="{across.at(x)}" y="{_HEIGHT - 14}" text-anchor="middle">{x:g}</text>'
        )
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path_ = " ".join(f"{across.at(x)},{up.at(y)}" for x, y in line)
        # Where curves that rise leave room.
        named_at = _HEIGHT - _BOTTOM - 10 - 15 * (len(series) - 1 - number)
        parts.append(
            f'<polyline points="{path_}" fill="none" stroke="{colour}" stroke-width="2"/>'
            + "".join(
                f'<circle cx="{across.at(x)}" cy="{up.at(y)}" r="3" fill="{colour}"/>'
                for x, y in line
            )
            + f'<text x="{_WIDTH - _RIGHT}" y="{named_at}" '
            f'text-anchor="end" fill="{colour}">{escape(name)}</text>'
        )
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", "utf-8")


def _ticks(axis: Axis, *, percent: bool) -> list[tuple[float, str]]:
    if percent:
        return axis.ticks()
    step = (axis.high - axis.low) / 4
    return [
        (axis.at(axis.low + step * number), f"{axis.low + step * number:.0f}")
        for number in range(5)
    ]
