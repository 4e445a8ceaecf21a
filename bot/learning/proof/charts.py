"""Where the marks of the page's charts stand: SVG coordinates from a proof's figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

_SIDES = ("champion", "challenger")
# Of the longest whisker's ends, so that no mark touches the frame.
_AIR = 0.01
# Bins with fewer texts are dots alone: a line through them would show chance.
_JOINED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Values of `low` to `high` along `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value stands; what lies beyond stands at the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """(place, label) of round percentages."""
        span = self.high - self.low
        step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1) if span / s <= most)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [
            (self.at(number * step), f"{number * step:.0%}") for number in range(first, last + 1)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """A share with its interval, on a line."""

    side: str
    y: float
    x: float
    low: float
    high: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is said of one set of texts, or of one intent."""

    name: str
    n: int
    y: float
    whiskers: tuple[Whisker, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """The chart of accuracies."""

    width: int
    height: int
    axis: Axis
    groups: tuple[Group, ...]


def intervals(rows: Sequence[Row]) -> Intervals | None:
    """Accuracy of both sides with intervals, a group for each set of texts."""
    if not rows:
        return None
    bounds = [row[side][end] for row in rows for side in _SIDES for end in ("low", "high")]
    axis = Axis(
        low=max(0.0, math.floor(20 * (min(bounds) - _AIR)) / 20),
        high=min(1.0, math.ceil(20 * (max(bounds) + _AIR)) / 20),
        start=110.0,
        end=560.0,
    )
    groups = []
    for number, row in enumerate(rows):
        top = 20.0 + 64 * number
        groups.append(
            Group(
                name=row["name"],
                n=row["n"],
                y=top + 22,
                whiskers=tuple(
                    Whisker(
                        side=side,
                        y=top + 11 + 22 * place,
                        x=axis.at(row[side]["share"]),
                        low=axis.at(row[side]["low"]),
                        high=axis.at(row[side]["high"]),
                        label=f"{row[side]['share']:.1%}",
                    )
                    for place, side in enumerate(_SIDES)
                ),
            )
        )
    return Intervals(width=640, height=20 + 64 * len(rows) + 24, axis=axis, groups=tuple(groups))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A bin of confidence."""

    x: float
    y: float
    r: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """The reliability diagram; `lines` are the points of each side's polyline."""

    size: int
    x: Axis
    y: Axis
    dots: dict[str, list[Dot]]
    lines: dict[str, str]


def reliability(bins: Mapping[str, Sequence[Row]]) -> Reliability | None:
    """How often each side is right when it is so sure; larger dots stand for more texts."""
    total = max((sum(one["n"] for one in bins[side]) for side in _SIDES), default=0)
    if total == 0:
        return None
    x = Axis(low=0, high=1, start=48.0, end=388.0)
    y = Axis(low=0, high=1, start=356.0, end=16.0)
    dots = {
        side: [
            Dot(
                x=x.at(one["confidence"]),
                y=y.at(one["accuracy"]),
                r=round(2.5 + 9 * math.sqrt(one["n"] / total), 1),
                title=f"sure {one['confidence']:.0%}, right {one['accuracy']:.0%}, "
                f"{one['n']} texts",
            )
            for one in bins[side]
        ]
        for side in _SIDES
    }
    lines = {
        side: " ".join(
            f"{dot.x},{dot.y}"
            for dot, one in zip(dots[side], bins[side], strict=True)
            if one["n"] >= _JOINED
        )
        for side in _SIDES
    }
    return Reliability(size=410, x=x, y=y, dots=dots, lines=lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An intent's recall before and after."""

    name: str
    n: int
    y: float
    before: float
    after: float
    delta: float
    label: str

    @property
    def kind(self) -> str:
        """Whether that is a gain or a loss."""
        if self.delta == 0:
            return "same"
        return "gain" if self.delta > 0 else "loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """The chart of recalls."""

    width: int
    height: int
    axis: Axis
    moves: tuple[Move, ...]
    unmoved: int


def moves(rows: Sequence[Row], *, most: int = 8) -> Moves | None:
    """The intents that lost most, then those that gained most: so many of each."""
    if not rows:
        return None
    by_change = sorted(rows, key=lambda row: (row["challenger"] - row["champion"], -row["n"]))
    losses = [row for row in by_change if row["challenger"] < row["champion"]][:most]
    gains = [row for row in reversed(by_change) if row["challenger"] > row["champion"]][:most]
    unmoved = sum(row["challenger"] == row["champion"] for row in rows)
    axis = Axis(low=0, high=1, start=220.0, end=560.0)
    shown = []
    for number, row in enumerate([*losses, *gains]):
        delta = row["challenger"] - row["champion"]
        shown.append(
            Move(
                name=row["name"],
                n=row["n"],
                y=22.0 + 24 * number,
                before=axis.at(row["champion"]),
                after=axis.at(row["challenger"]),
                delta=delta,
                label=f"{100 * delta:+.0f}",
            )
        )
    return Moves(
        width=640, height=34 + 24 * len(shown), axis=axis, moves=tuple(shown), unmoved=unmoved
    )
