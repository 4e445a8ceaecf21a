"""What the page shows of the figures: cards, series and tables, each with the change to before."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from sqlalchemy import Connection

from bot.console.voice.compare import (
    FEW,
    Change,
    Hint,
    change_of_count,
    change_of_mean,
    change_of_share,
    false_discoveries,
    share_p,
)
from bot.console.voice.wanted import Wanted
from bot.log import voice_figures, voice_state
from bot.log.voice_figures import Figures
from bot.log.voice_labels import UPSET

EMOTIONS = ("angry", "disappointed", "anxious", "confused", "neutral", "happy")
Unit = Literal["count", "share", "rating", "ms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A key figure. `good` says which way is the better one."""

    name: str
    unit: Unit
    value: float | None
    change: Change | None
    good: Literal["up", "down", ""] = ""
    # Of how many cases it is.
    cases: int = 0

    @property
    def mood(self) -> Literal["good", "bad", ""]:
        """Whether the change is for the better, where it is more than chance."""
        if self.change is None or not self.good or self.change.hint != "clear":
            return ""
        return "good" if self.change.direction == self.good else "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Series over time; None where there is nothing to say."""

    name: str
    shape: Literal["lines", "stacked"]
    unit: Unit
    starts: list[date]
    series: dict[str, list[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """An intent's row."""

    intent: str
    turns: int
    felt: int
    upset: int
    emotions: Counter[str]
    fallbacks: int
    answers: int
    handoffs: int
    change: Change | None

    @property
    def upset_share(self) -> float | None:
        """The share of its turns with an emotion that were upset."""
        return self.upset / self.felt if self.felt else None

    @property
    def is_small(self) -> bool:
        """Whether there are too few turns to go by."""
        return self.felt < FEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the page shows."""

    wanted: Wanted
    total: Figures
    cards: list[Card]
    charts: list[Chart]
    topics: list[Topic]
    emotions: list[str]
    by_channel: dict[str, Counter[str]]
    by_language: dict[str, Counter[str]]
    by_version: list[dict[str, Any]]
    channels: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    counted: bool = True


def make_report(connection: Connection, wanted: Wanted) -> Report:
    """Read and compare; two periods of the same length."""
    period = wanted.period
    now = voice_figures.read(connection, period, bucket_days=wanted.bucket_days)
    before = voice_figures.read(connection, period.before(), bucket_days=period.days)
    labels = ("intent", "emotion", "model_version")
    rows = voice_figures.topics(connection, period, labels)
    rows_before = voice_figures.topics(connection, period.before(), ("intent", "emotion"))
    channels, languages = voice_figures.choices(connection)
    topics = _topics(rows, rows_before, _alike(now.total))
    seen = {emotion for one in topics for emotion in one.emotions}
    return Report(
        wanted=wanted,
        total=now.total,
        cards=_cards(now.total, before.total),
        charts=_charts(now.by_time),
        topics=topics,
        emotions=[name for name in EMOTIONS if name in seen] + sorted(seen - set(EMOTIONS)),
        by_channel=dict(sorted(now.by_channel.items(), key=lambda item: -item[1]["turns"])),
        by_language=dict(sorted(now.by_language.items(), key=lambda item: -item[1]["turns"])),
        by_version=_versions(rows),
        channels=channels,
        languages=languages,
        counted=voice_state.state(connection).counted_to is not None,
    )


def _alike(figures: Figures) -> float:
    """Turns of one contact are alike: so many of them count as one case in a test."""
    return max(1.0, figures.counts["turns"] / max(1, figures.counts["contacts"]))


def _cards(now: Figures, before: Figures) -> list[Card]:
    def count(name: str) -> Card:
        change = change_of_count(now.counts[name], before.counts[name])
        return Card(name=name, unit="count", value=now.counts[name], change=change)

    def share(
        name: str, part: str, of: str, good: Literal["up", "down"], *, turns: bool = False
    ) -> Card:
        both = []
        for figures in (now, before):
            alike = _alike(figures) if turns else 1.0
            both.append((figures.counts[part] / alike, figures.counts[of] / alike))
        return Card(
            name=name,
            unit="share",
            value=now.counts[part] / now.counts[of] if now.counts[of] else None,
            change=change_of_share(*both),
            good=good,
            cases=now.counts[of],
        )

    def time(name: str, of: str, share: float) -> Card:
        value = now.percentile_ms(of, share)
        change = change_of_count(value, before.percentile_ms(of, share))
        cases = sum(now.spread[of].values())
        return Card(name=name, unit="ms", value=value, change=change, good="down", cases=cases)

    rating = Card(
        name="rating",
        unit="rating",
        value=now.rating_mean,
        change=change_of_mean(now.spread["rating"], before.spread["rating"]),
        good="up",
        cases=now.ratings,
    )
    return [
        count("contacts"),
        count("turns"),
        share("upset", "upset", "felt", "down", turns=True),
        share("resolved", "resolved", "ended", "up"),
        share("handoffs", "handoffs", "contacts", "down"),
        share("fallbacks", "fallbacks", "turns", "down", turns=True),
        share("answers", "answers", "turns", "up", turns=True),
        rating,
        time("first_answer", "first_answer", 0.5),
        time("first_answer_90", "first_answer", 0.9),
        time("person_answer", "person_answer", 0.5),
        time("person_answer_90", "person_answer", 0.9),
    ]


def _charts(by_time: dict[date, Figures]) -> list[Chart]:
    starts = list(by_time)
    each = list(by_time.values())

    def share(part: str, of: str) -> list[float | None]:
        return [one.counts[part] / one.counts[of] if one.counts[of] else None for one in each]

    def values(value: Callable[[Figures], float | None]) -> list[float | None]:
        return [value(one) for one in each]

    seen = {name for one in each for name in one.spread["emotion"]}
    emotions = [name for name in EMOTIONS if name in seen] + sorted(seen - set(EMOTIONS))
    return [
        Chart(
            name="volume",
            shape="lines",
            unit="count",
            starts=starts,
            series={
                "contacts": values(lambda one: one.counts["contacts"]),
                "handoffs": values(lambda one: one.counts["handoffs"]),
            },
        ),
        Chart(
            name="emotions",
            shape="stacked",
            unit="share",
            starts=starts,
            series={
                f"emotion.{name}": values(
                    lambda one, name=name: (  # type: ignore[misc]
                        one.spread["emotion"][name] / one.counts["felt"]
                        if one.counts["felt"]
                        else None
                    )
                )
                for name in emotions
            },
        ),
        Chart(
            name="outcomes",
            shape="lines",
            unit="share",
            starts=starts,
            series={
                "resolved": share("resolved", "ended"),
                "upset": share("upset", "felt"),
                "fallbacks": share("fallbacks", "turns"),
                "answers": share("answers", "turns"),
            },
        ),
        Chart(
            name="ratings",
            shape="lines",
            unit="rating",
            starts=starts,
            series={"rating": values(lambda one: one.rating_mean)},
        ),
        Chart(
            name="waiting",
            shape="lines",
            unit="ms",
            starts=starts,
            series={
                "person_answer": values(lambda one: one.percentile_ms("person_answer", 0.5)),
                "person_answer_90": values(lambda one: one.percentile_ms("person_answer", 0.9)),
            },
        ),
    ]


def _topics(
    rows: list[dict[str, Any]], rows_before: list[dict[str, Any]], alike: float
) -> list[Topic]:
    now, before = _by_intent(rows), _by_intent(rows_before)
    pairs: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {}
    for intent, counts in now.items():
        old = before.get(intent, Counter())
        pairs[intent] = (
            (counts["upset"] / alike, counts["felt"] / alike),
            (old["upset"] / alike, old["felt"] / alike),
        )
    tested = {
        intent: share_p(*pair)
        for intent, pair in pairs.items()
        if pair[0][1] >= FEW and pair[1][1] >= FEW
    }
    stands = false_discoveries(tested)
    found = []
    for intent, counts in now.items():
        change = change_of_share(*pairs[intent])
        if change is not None and change.hint != "few":
            # Among so many rows some would look clear by chance.
            hint: Hint = "clear" if intent in stands else "chance"
            change = Change(before=change.before, delta=change.delta, hint=hint)
        prefix = "emotion."
        found.append(
            Topic(
                intent=intent,
                turns=counts["turns"],
                felt=counts["felt"],
                upset=counts["upset"],
                emotions=Counter(
                    {
                        name.removeprefix(prefix): number
                        for name, number in counts.items()
                        if name.startswith(prefix)
                    }
                ),
                fallbacks=counts["fallbacks"],
                answers=counts["answers"],
                handoffs=counts["handoffs"],
                change=change,
            )
        )
    return sorted(found, key=lambda one: (-one.turns, one.intent))


def _by_intent(rows: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        counts = found.setdefault(row["intent"], Counter())
        for name in voice_figures.TOPIC_COUNTS:
            counts[name] += row[name]
        if row["emotion"]:
            counts["felt"] += row["turns"]
            counts["upset"] += row["turns"] if row["emotion"] in UPSET else 0
            counts[f"emotion.{row['emotion']}"] += row["turns"]
    return found


def _versions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        counts = found.setdefault(row["model_version"], Counter())
        for name in voice_figures.TOPIC_COUNTS:
            counts[name] += row[name]
        counts["felt"] += row["turns"] if row["emotion"] else 0
        counts["upset"] += row["turns"] if row["emotion"] in UPSET else 0
    return [{"model_version": name, **found[name]} for name in sorted(found, reverse=True)]
