"""The tables of the conversation log, one module for each group."""

from bot.log.tables.base import metadata
from bot.log.tables.conversations import annotation, conversation, feedback, file, message, turn
from bot.log.tables.people import agent, audit
from bot.log.tables.sending import channel_cursor, nonce, outbox

__all__ = [
    "agent",
    "annotation",
    "audit",
    "channel_cursor",
    "conversation",
    "feedback",
    "file",
    "message",
    "metadata",
    "nonce",
    "outbox",
    "turn",
]
