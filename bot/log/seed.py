"""Makes up conversations as the example business has them: for trials and for measuring.

The same seed, days and number of turns within the same hour give the same conversations. Nothing
here is anyone's: their accounts begin with "seed-".
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.log.search_terms import words_of
from bot.log.seed_habits import (
    BETWEEN,
    CALM,
    CHANNELS,
    FEELINGS,
    INTENTS,
    LOCALES,
    OUTCOMES,
    UPSET,
    busy_hours,
    pick,
)
from bot.log.seed_story import Batch, Story
from bot.log.seed_texts import RARE_WORDS, Answer, Material, Said
from bot.log.turn_kinds import FALLBACK_INTENT, kind_of

ACCOUNT = "seed-"
AGENTS = ("Anna", "Ben", "Chen", "Dora", "Emil", "Farah")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of what is made up."""

    turns: int
    days: int = 90
    seed: int = 1
    # The moment that the newest conversations end at.
    now: datetime
    agent_ids: tuple[str, ...]


def batches(plan: Plan, material: Material, *, conversations: int = 2000) -> Iterator[Batch]:
    """The conversations in the order they begin, so many at a time."""
    maker = _Maker(plan, material)
    batch, count, made = Batch(), 0, 0
    while made < plan.turns:
        share = made / plan.turns
        made += maker.conversation(batch, share, plan.turns - made)
        count += 1
        if count % conversations == 0:
            yield batch
            batch = Batch()
    yield batch


class _Maker:
    def __init__(self, plan: Plan, material: Material) -> None:
        self._plan = plan
        self._draw = random.Random(plan.seed)
        self._material = material
        self._number = 0
        # In every id: the same seed may be sown twice.
        self._run = plan.now.microsecond % 65_536
        intents = [name for name in material.by_intent if name not in BETWEEN]
        self._intents = intents
        self._weights = [INTENTS.get(name, 1) for name in intents]
        first = plan.now - timedelta(days=plan.days)
        self._versions = [
            f"{first + timedelta(days=plan.days * part):%Y%m%d}-1" for part in (0, 0.4, 0.8)
        ]
        self._hours = list(busy_hours(first, plan.now))

    def conversation(self, batch: Batch, share: float, most: int) -> int:
        """Add one that begins when this share of all turns is over; returns its turns."""
        draw = self._draw
        hour = self._hours[min(len(self._hours) - 1, int(share * len(self._hours)))]
        # Within an hour the order is that of the shares: ids and moments grow together.
        at = min(hour + timedelta(seconds=draw.random() * 3600), self._plan.now)
        channel = pick(draw, CHANNELS)
        chinese = channel == "wechat" and draw.random() < 0.9
        id_ = self._id(at)
        story = Story(
            id=id_,
            channel=channel,
            account=ACCOUNT + id_,
            locale="zh-CN" if chinese else pick(draw, LOCALES),
            chinese=chinese,
            began=at,
            at=at,
            # Some customers come again with another conversation.
            customer_id=f"{ACCOUNT}c{draw.randrange(1 + self._plan.turns // 20)}",
            topic=draw.choices(self._intents, self._weights)[0],
        )
        turns = min(most, 1 + min(int(draw.expovariate(0.24)), 29))
        version = self._versions[sum(share >= part for part in (0.4, 0.8))]
        for number in range(turns):
            self._turn(batch, story, number, version)
            if story.at > self._plan.now:
                return self._end(batch, story, number + 1)
        return self._end(batch, story, turns)

    def _turn(self, batch: Batch, story: Story, number: int, version: str) -> None:
        draw = self._draw
        intent = self._intent(story, number)
        emotion = story.emotion
        if not emotion or draw.random() > 0.4:
            feelings = FEELINGS.get(intent) or (UPSET if intent.startswith("report_") else CALM)
            emotion = pick(draw, feelings)
        story.emotion = emotion
        said = self._material.text(draw, intent, emotion, chinese=story.chinese)
        if not story.chinese:
            said = self._vary(said, intent)
        unsure = draw.random() < 0.07
        confidence = draw.uniform(0.08, 0.42) if unsure else 1 - min(draw.expovariate(9), 0.55)
        confidence = round(confidence, 4)
        meant, intent = intent, FALLBACK_INTENT if unsure else intent
        held = story.status == "agent"
        answer = self._material.answer(draw, intent, chinese=story.chinese)
        actions = [] if held else [_action(intent, answer.pair_id)]
        kind = kind_of(
            intent=intent,
            emotion=emotion,
            model_version=version,
            actions=actions,
            confidence=confidence,
        )
        batch.kinds[kind.id] = kind
        turn_id, inbound_id = self._id(story.at), self._id(story.at)
        story.seq += 1
        batch.rows["message"].append(
            (
                inbound_id,
                story.id,
                story.seq,
                "in",
                "customer",
                None,
                story.channel,
                story.account,
                f"m{story.seq}",
                said.text,
                None,
                "answered",
                turn_id,
                story.at,
            )
        )
        story.inbound_at = story.at
        story.unanswered = story.unanswered or story.at
        replies: list[dict[str, Any]] = []
        words = said.words
        # Now and then the bot failed, and nobody noticed.
        if not held and draw.random() > 0.004:
            replies = [self._reply(batch, story, turn_id, answer)]
            words += answer.said.words
        batch.rows["turn"].append(
            (
                turn_id,
                story.id,
                inbound_id,
                said.text,
                intent,
                confidence,
                _json(self._ranking(meant, confidence, unsure=unsure)),
                emotion,
                round(draw.uniform(0.45, 0.99), 4),
                _json(_entities(said.text)),
                _json(actions),
                answer.pair_id if replies else None,
                0.9 if replies and answer.pair_id else None,
                version,
                "cpu-int8",
                _TIMINGS,
                _json(replies),
                story.at,
                kind.id,
            )
        )
        if words:
            batch.rows["search_doc"].append((story.id, inbound_id, tuple(dict.fromkeys(words))))
        story.turned(kind, confidence)
        if draw.random() < 0.03:
            score = -1 if emotion in ("angry", "disappointed") or draw.random() < 0.3 else 1
            batch.rows["feedback"].append(
                (f"thumb:{turn_id}", story.id, turn_id, "thumb", score, story.at)
            )
        if draw.random() < (0.12 if unsure else 0.015):
            self._judge(batch, story, turn_id, meant, emotion)
        self._hand_off(batch, story, turn_id, meant)
        story.at += timedelta(seconds=5 + draw.expovariate(1 / 70))

    def _intent(self, story: Story, number: int) -> str:
        draw = self._draw
        if number == 0 and draw.random() < 0.3:
            return "greet"
        if number > 1 and draw.random() < 0.25:
            return draw.choice(BETWEEN)
        if draw.random() < 0.7:
            return story.topic
        return draw.choices(self._intents, self._weights)[0]

    def _vary(self, said: Said, intent: str) -> Said:
        """Now and then an order number, and very seldom a rare word."""
        draw = self._draw
        if intent in INTENTS and draw.random() < 0.25:
            number = f"HP-{draw.randrange(100_000, 999_999)}"
            said = Said(f"{said.text} {number}", (*said.words, "hp", number[3:]))
        if draw.random() < 0.0001:
            word = draw.choice(RARE_WORDS)
            said = Said(f"{said.text} ({word})", (*said.words, word))
        return said

    def _reply(self, batch: Batch, story: Story, turn_id: str, answer: Answer) -> dict[str, Any]:
        story.seq += 1
        at = story.at + timedelta(seconds=self._draw.uniform(0.05, 1.2))
        metadata = None
        if answer.pair_id is not None:
            metadata = {"qa": {"id": answer.pair_id, "score": 0.9, "question": answer.question}}
        batch.rows["message"].append(
            (
                self._id(at),
                story.id,
                story.seq,
                "out",
                "bot",
                None,
                story.channel,
                story.account,
                None,
                answer.said.text,
                _json(metadata),
                "sent",
                turn_id,
                at,
            )
        )
        story.unanswered = None
        story.updated_at = at
        return {"text": answer.said.text} | ({"metadata": metadata} if metadata else {})

    def _hand_off(self, batch: Batch, story: Story, turn_id: str, intent: str) -> None:
        draw = self._draw
        if story.status == "agent":
            return self._agent_speaks(batch, story)
        reason = None
        if intent == "ask_human":
            reason = "asked"
        elif story.emotion == "angry" and draw.random() < 0.22:
            reason = "emotion"
        elif draw.random() < 0.008:
            reason = draw.choice(("repeated_failure", "low_confidence", "business_rule"))
        if reason is None or story.reason is not None:
            return None
        story.reason, story.waiting_since, story.handed_at = reason, story.at, story.at
        story.handoff_turn, story.status = turn_id, "waiting"
        if draw.random() < 0.93:
            story.at += timedelta(seconds=30 + draw.expovariate(1 / 400))
            if story.at < self._plan.now:
                story.status = "agent"
                story.agent_id = draw.choice(self._plan.agent_ids)
                story.taken_at = story.at
                self._agent_speaks(batch, story)
        return None

    def _agent_speaks(self, batch: Batch, story: Story) -> None:
        draw = self._draw
        if draw.random() < 0.1:
            return
        story.at += timedelta(seconds=10 + draw.expovariate(1 / 60))
        index = self._plan.agent_ids.index(story.agent_id or "")
        line = draw.choice(self._material.agent_lines).format(agent=AGENTS[index % len(AGENTS)])
        story.seq += 1
        id_ = self._id(story.at)
        batch.rows["message"].append(
            (
                id_,
                story.id,
                story.seq,
                "out",
                "agent",
                story.agent_id,
                story.channel,
                story.account,
                None,
                line,
                None,
                "sent",
                None,
                story.at,
            )
        )
        batch.rows["search_doc"].append((story.id, id_, tuple(words_of([line]))))
        story.answered_at = story.answered_at or story.at
        story.unanswered, story.updated_at = None, story.at

    def _judge(self, batch: Batch, story: Story, turn_id: str, intent: str, emotion: str) -> None:
        draw = self._draw
        if draw.random() < 0.15:
            intent = draw.choice(self._intents)
        story.reviewed = True
        at = min(self._plan.now, story.at + timedelta(hours=draw.uniform(1, 60)))
        batch.rows["annotation"].append(
            (
                self._id(at),
                turn_id,
                intent,
                emotion,
                draw.choice(self._plan.agent_ids),
                at,
                "label",
                draw.choice(("right", "right", "wrong", None)),
            )
        )

    def _end(self, batch: Batch, story: Story, turns: int) -> int:
        draw = self._draw
        old = self._plan.now - story.at > timedelta(hours=3)
        if story.status == "waiting" and old:
            story.status, story.outcome, story.handed_back_at = "bot", "nobody_came", story.at
        elif story.status == "agent" and (old or draw.random() < 0.3):
            story.outcome, story.handed_back_at = draw.choice(OUTCOMES), story.at
            story.status = "closed" if draw.random() < 0.5 else "bot"
        if story.status in ("bot", "closed"):
            story.agent_id = story.taken_at = story.waiting_since = None
        elif story.status == "agent":
            story.waiting_since = None
        if draw.random() < 0.1:
            low, high = (1, 3) if story.emotion in ("angry", "disappointed") else (3, 5)
            story.rating = draw.randint(low, high)
            batch.rows["feedback"].append(
                (f"rating:{story.id}", story.id, None, "rating", story.rating, story.at)
            )
        if story.reason is not None:
            batch.rows["handoff"].append(
                (
                    story.handoff_turn,
                    story.id,
                    story.reason,
                    story.handoff_turn,
                    story.handed_at,
                    story.answered_at,
                )
            )
        batch.rows["conversation"].append(story.row())
        return turns

    def _ranking(self, intent: str, confidence: float, *, unsure: bool) -> list[dict[str, Any]]:
        draw = self._draw
        rest = 1 - confidence
        ranking = [{"name": intent, "confidence": confidence}]
        others = draw.sample([name for name in self._intents if name != intent], 2)
        for share, name in zip((0.6, 0.25), others, strict=True):
            ranking.append({"name": name, "confidence": round(rest * share, 4)})
        if unsure:
            ranking.insert(0, {"name": FALLBACK_INTENT, "confidence": confidence})
        return ranking

    def _id(self, at: datetime) -> str:
        self._number += 1
        return f"{int(at.timestamp() * 1e9):016x}{self._run:04x}{self._number:08x}"


_ORDER = re.compile(r"HP-\d{6}")


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_TIMINGS = _json(
    {"accept": 0.4, "wait": 0.2, "nlu": 6.1, "dialogue": 2.3, "turn": 9.4, "total": 10.1}
)


def _action(intent: str, pair_id: str | None) -> str:
    if intent == FALLBACK_INTENT:
        return "action_default_ask_affirmation"
    return "action_answer" if pair_id else f"utter_{intent}"


def _entities(text: str) -> list[dict[str, Any]]:
    return [
        {
            "entity": "order_number",
            "start": match.start(),
            "end": match.end(),
            "value": match.group(),
        }
        for match in _ORDER.finditer(text)
    ]
