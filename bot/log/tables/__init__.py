"""The tables of the conversation log, one module for each group."""

from bot.log.tables.base import metadata
from bot.log.tables.conversation_page import canned_answer, note
from bot.log.tables.conversations import annotation, conversation, feedback, file, message, turn
from bot.log.tables.inbox import inbox_read, inbox_view, search_doc, turn_kind
from bot.log.tables.learning import (
    dataset_version,
    drift_check,
    held_back,
    promotion,
    training_run,
    unknown_cluster,
    unknown_member,
)
from bot.log.tables.people import agent, audit, session
from bot.log.tables.privacy import (
    erasure_request,
    export_record,
    model_exposure,
    retention_rule,
    retention_run,
)
from bot.log.tables.review import (
    qa_proposal,
    review_candidate,
    review_cursor,
    review_lease,
    review_vector,
)
from bot.log.tables.sending import channel_cursor, nonce, outbox
from bot.log.tables.voice import (
    alert,
    alert_mute,
    alert_notice,
    handoff,
    voice_change,
    voice_day,
    voice_state,
    voice_topic,
    voice_topic_month,
    watch_hour,
)

__all__ = [
    "agent",
    "alert",
    "alert_mute",
    "alert_notice",
    "annotation",
    "audit",
    "canned_answer",
    "channel_cursor",
    "conversation",
    "dataset_version",
    "drift_check",
    "erasure_request",
    "export_record",
    "feedback",
    "file",
    "handoff",
    "held_back",
    "inbox_read",
    "inbox_view",
    "message",
    "metadata",
    "model_exposure",
    "nonce",
    "note",
    "outbox",
    "promotion",
    "qa_proposal",
    "retention_rule",
    "retention_run",
    "review_candidate",
    "review_cursor",
    "review_lease",
    "review_vector",
    "search_doc",
    "session",
    "training_run",
    "turn",
    "turn_kind",
    "unknown_cluster",
    "unknown_member",
    "voice_change",
    "voice_day",
    "voice_state",
    "voice_topic",
    "voice_topic_month",
    "watch_hour",
]
