"""What an action needs to know of the conversation, read from Rasa's tracker."""

from dataclasses import dataclass, field
from typing import Any

from rasa_sdk import Tracker

UPSET = frozenset({"angry", "anxious", "disappointed"})
KEY_LENGTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The customer's latest message and where the conversation stands."""

    text: str
    intent: str
    ranking: tuple[str, ...] = ()  # likely intents, best first, without nlu_fallback
    emotion: str = "neutral"
    emotion_before: str | None = None  # of the customer's message before
    sympathy_shown: bool = False  # the bot said something kind in this turn already
    failures: int = 0  # in a row
    in_form: bool = False  # a form waits for its own answer
    key: str = ""  # the same when the same message is processed again
    slots: dict[str, Any] = field(default_factory=dict)

    @property
    def is_payload(self) -> bool:
        """Whether the text is a button's, which says nothing in the customer's words."""
        return self.text.startswith("/")

    @property
    def newly_upset(self) -> bool:
        """Whether the customer shows a bad feeling that was not there a message ago."""
        return self.emotion in UPSET and self.emotion != self.emotion_before

    @property
    def waiting(self) -> bool:
        """Whether a person has been called and has not handed back."""
        return self.slots.get("handoff") == "waiting"

    @property
    def resting(self) -> bool:
        """Whether a person handed back a moment ago: the bot offers none by itself for a while."""
        return float(self.slots.get("handoff_rest") or 0) > 0

    def slot_text(self, name: str) -> str | None:
        """A slot's value if it is a text with something in it."""
        value = self.slots.get(name)
        return value if isinstance(value, str) and value.strip() else None


def read_turn(tracker: Tracker) -> Turn:
    """The turn that a tracker, as Rasa sends it, is in."""
    message: dict[str, Any] = tracker.latest_message
    users = [event for event in tracker.events if event.get("event") == "user"]
    before = _emotion(users[-2].get("parse_data") or {}) if len(users) > 1 else None
    text = str(message.get("text") or "")
    ranking = [str(item.get("name")) for item in message.get("intent_ranking") or []]
    return Turn(
        text=text,
        intent=str((message.get("intent") or {}).get("name") or ""),
        ranking=tuple(name for name in ranking if name != "nlu_fallback"),
        emotion=_emotion(message) or str(tracker.slots.get("emotion") or "neutral"),
        emotion_before=before,
        sympathy_shown=_sympathy_shown(tracker.events),
        failures=int(tracker.slots.get("failures") or 0),
        in_form=bool((tracker.active_loop or {}).get("name")),
        key=_key(tracker.sender_id, message, users),
        slots=tracker.slots,
    )


def _emotion(parse: dict[str, Any]) -> str | None:
    emotion = parse.get("emotion")
    if isinstance(emotion, dict) and emotion.get("name"):
        return str(emotion["name"])
    for entity in parse.get("entities") or []:
        if entity.get("entity") == "emotion":
            return str(entity.get("value"))
    return None


def _sympathy_shown(events: list[dict[str, Any]]) -> bool:
    for event in reversed(events):
        if event.get("event") == "user":
            return False
        metadata = event.get("metadata") or {}
        if event.get("event") == "bot" and metadata.get("utter_action") == "utter_sympathy":
            return True
    return False


def _key(sender: str, message: dict[str, Any], users: list[dict[str, Any]]) -> str:
    last = users[-1] if users else {}
    own = message.get("message_id") or last.get("message_id") or last.get("timestamp")
    return f"{sender}:{own or message.get('text')}"[:KEY_LENGTH]
