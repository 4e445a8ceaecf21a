"""Figures as people read them."""

from bot.console.voice.compare import Change
from bot.console.voice.report import Unit

NOTHING = "–"


def figure(value: float | None, unit: Unit) -> str:
    """A figure with its unit."""
    if value is None:
        return NOTHING
    if unit == "share":
        return f"{value:.1%}"
    if unit == "rating":
        return f"{value:.2f}"
    if unit == "ms":
        return duration(value)
    return f"{value:,.0f}"


def difference(change: Change, unit: Unit) -> str:
    """A change with its sign: points of a share or a rating, or by what part a number grew."""
    if unit == "share":
        return f"{change.delta * 100:+.1f} pp"
    if unit == "rating":
        return f"{change.delta:+.2f}"
    return f"{change.delta:+.0%}"


def duration(ms: float) -> str:
    """A time in the two units that matter."""
    seconds = ms / 1000
    if seconds < 1:
        return f"{ms:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours / 24:.1f} d"
