"""What goes into the log and what comes back from it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Status = Literal["bot", "waiting", "agent", "closed"]
State = Literal["accepted", "answered", "failed", "sent"]
Author = Literal["customer", "bot", "agent", "system"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A conversation to open: of an account on a channel, its own where `account` is its id."""

    id: str
    channel: str
    account: str
    # The company's own id of the customer, only where the identity was proven.
    customer_id: str | None = None
    locale: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """A customer's message as a channel hands it in.

    An attachment has `kind` (image, file, audio, video, location, contact) and, where known,
    `name`, `content_type`, `size` in bytes, `id` of our stored file, the platform's own
    `reference`, `text`.
    The text is empty only where there are attachments. `nonce` is good for one message.
    """

    conversation_id: str
    channel: str
    account: str
    message_id: str
    text: str
    attachments: tuple[dict[str, Any], ...] = ()
    nonce: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An inbound message that is on disk; `duplicate` when it had been there before."""

    id: str
    inbound: Inbound
    seq: int
    status: Status
    state: State
    created_at: datetime
    duplicate: bool = False
    same_text: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One message to the customer: of the bot, an agent or the system."""

    id: str
    text: str | None = None
    buttons: list[dict[str, Any]] | None = None
    extra: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    author: Author = "bot"
    agent_id: str | None = None
    attachments: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRecord:
    """What a turn was: as stored, with personal data redacted."""

    id: str
    text: str
    intent: str | None = None
    confidence: float | None = None
    ranking: list[dict[str, Any]] = field(default_factory=list)
    emotion: str | None = None
    emotion_confidence: float | None = None
    entities: list[dict[str, Any]] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    qa_pair_id: str | None = None
    qa_score: float | None = None
    model_version: str | None = None
    mode: str | None = None
    timings: dict[str, float] = field(default_factory=dict)
    replies: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """A turn to commit: the inbound message it answers, its record and what the bot says."""

    accepted: Accepted
    state: State
    turn: TurnRecord
    replies: list[Reply]
    handoff_reason: str | None = None
    # Of the button that was pressed, for who reads the conversation.
    title: str | None = None
    attachments: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """Messages to a customer: of a turn, or else of an agent or the system."""

    conversation_id: str
    replies: list[Reply]
    turn_id: str | None = None
    # The same ids may be said again, by a client that does not know whether it was heard.
    repeatable: bool = False
    # What a search may know of an agent's words; None: what is redacted by default goes.
    redact: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A committed turn: the rows of its replies as any reader sees them."""

    turn_id: str
    state: State
    replies: list[dict[str, Any]]
