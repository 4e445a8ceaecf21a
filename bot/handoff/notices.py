"""What the system itself tells a customer about people and the queue, in the customer's language.

Each notice carries its name in the message's metadata, so that a client may show words of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actions.hours import Hours
from bot.log.records import Reply

_WEEKDAYS_ZH = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
_TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "called": "A colleague will join this chat in a moment and can read what we wrote.",
        "called_closed": "Our people are back in the chat {back}. A colleague will answer here "
        "then; you need not repeat anything.",
        "stays_with_bot": "Our people are back in the chat {back}; please ask for one then.",
        "next": "You are next in the queue.",
        "position": "You are number {position} in the queue.",
        "joined": "{name} has joined the chat.",
        "transferred": "{other} has joined the chat in place of {name}.",
        "handed_back": "{name} has left the chat. You are talking to the assistant again.",
        "nobody_came": "I'm sorry, nobody is free at the moment. I'll go on helping as well as I "
        'can; to wait again, write "agent".',
        "put_back": "{name} cannot go on at the moment. Another colleague will take over.",
        "put_back_closed": "{name} cannot go on at the moment. Our people are back in the chat "
        "{back} and will answer here then.",
        "closed": "This conversation was closed. Write again whenever you like.",
        "later": "later",
    },
    "zh": {
        "called": "人工客服马上就来，并且能看到之前的对话。",
        "called_closed": "人工客服{back}上班，届时会在这里回复您，无需重复说明。",
        "stays_with_bot": "人工客服{back}上班，请届时再联系。",
        "next": "您是下一位。",
        "position": "您排在第 {position} 位。",
        "joined": "{name} 已加入对话。",
        "transferred": "{name} 已将对话转给 {other}，由 {other} 继续为您服务。",
        "handed_back": "{name} 已离开对话，现在由智能助手为您服务。",
        "nobody_came": "抱歉，目前没有空闲的客服。我会继续尽力帮您；如需再次排队，请说“人工”。",
        "put_back": "{name} 暂时无法继续，另一位同事会接手。",
        "put_back_closed": "{name} 暂时无法继续。人工客服{back}上班，届时会在这里回复您。",
        "closed": "本次对话已关闭，随时欢迎再来。",
        "later": "稍后",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """Words for the customer of one conversation."""

    hours: Hours
    new_id: Callable[[], str]
    locale: str | None

    def called(self, now: datetime, position: int) -> list[Reply]:
        """To who asked past the bot: somebody will come, when, and where they stand."""
        if self.hours.is_open(now):
            return [self._say("called"), self.position(position)]
        return [self._say("called_closed", back=self._back(now))]

    def stays_with_bot(self, now: datetime) -> Reply:
        """Outside opening hours, where nobody waits: when people are back."""
        return self._say("stays_with_bot", back=self._back(now))

    def position(self, position: int) -> Reply:
        """Where the customer stands in the queue, from 1."""
        return self._say("next" if position == 1 else "position", position=position)

    def joined(self, name: str) -> Reply:
        """An agent is there."""
        return self._say("joined", name=name)

    def transferred(self, name: str, other: str) -> Reply:
        """Another agent goes on."""
        return self._say("transferred", name=name, other=other)

    def handed_back(self, name: str) -> Reply:
        """The agent is gone and the bot answers."""
        return self._say("handed_back", name=name)

    def nobody_came(self) -> Reply:
        """The wait was too long."""
        return self._say("nobody_came")

    def put_back(self, now: datetime, name: str) -> Reply:
        """The agent cannot go on and the customer waits for another."""
        if self.hours.is_open(now):
            return self._say("put_back", name=name)
        return self._say("put_back_closed", name=name, back=self._back(now))

    def closed(self) -> Reply:
        """An agent closed the conversation."""
        return self._say("closed")

    def _say(self, notice: str, **values: Any) -> Reply:
        text = _TEXTS[self._language][notice].format(**values)
        shown = {name: value for name, value in values.items() if name != "back"}
        return Reply(
            id=self.new_id(), text=text, author="system", metadata={"notice": notice, **shown}
        )

    @property
    def _language(self) -> str:
        language = (self.locale or "en").partition("-")[0].lower()
        return language if language in _TEXTS else "en"

    def _back(self, now: datetime) -> str:
        spoken = self.hours.spoken_return(now)
        if spoken is None:
            return _TEXTS[self._language]["later"]
        return self._back_zh(now) if self._language == "zh" else spoken

    def _back_zh(self, now: datetime) -> str:
        opening = self.hours.next_opening(now)
        assert opening is not None
        ahead = (opening.date() - now.astimezone(self.hours.zone).date()).days
        if ahead == 0:
            day = "今天"
        elif ahead == 1:
            day = "明天"
        elif ahead < 7:
            day = _WEEKDAYS_ZH[opening.weekday()]
        else:
            day = f"{opening.month}月{opening.day}日"
        return f"{day} {opening.hour}:{opening:%M}（{self.hours.zone_name}）"
