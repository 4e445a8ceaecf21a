"""The gateway's channel: `POST /webhooks/turn/turn`, one message in, one turn out.

Rasa's REST channel answers `200 []` on any failure and knows no message ids. Here a turn is
answered once: the same message id gets the same answer again, also after a crash, and a failed turn
is a 5xx that leaves the conversation as it was.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import ujson
from rasa.core.channels.channel import InputChannel, OutputChannel, UserMessage
from rasa.shared.core.events import BotUttered, Event
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from bot.dialogue.erasing import read_erasure, take_erasure
from bot.dialogue.errors import BadTurn, DialogueError
from bot.dialogue.hand_back import read_hand_back, take_hand_back
from bot.dialogue.turn_processor import TurnAgent
from bot.dialogue.turn_request import TurnRequest, read_turn
from bot.dialogue.turn_table import Turn
from bot.dialogue.understanding import Understanding

logger = logging.getLogger("kefu.dialogue")

# what Rasa adds to every bot message
NOT_FOR_THE_GATEWAY = {"model_id", "assistant_id", "condition"}

Timing = dict[str, float]


class TurnChannel(InputChannel):
    """The channel `turn`. The launcher gives the app its agent and its understanding client."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[HTTPResponse]] = set()

    @classmethod
    def name(cls) -> str:
        """Names the route: `/webhooks/turn`."""
        return "turn"

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """The channel's routes. Rasa's handler is not used: it returns nothing."""
        routes = Blueprint("turn_channel")

        @routes.post("/turn")
        async def turn(request: Request) -> HTTPResponse:
            return await self._to_its_end(_turn(request))

        @routes.post("/hand-back")
        async def hand_back(request: Request) -> HTTPResponse:
            return await self._to_its_end(_hand_back(request))

        @routes.post("/erase")
        async def erase(request: Request) -> HTTPResponse:
            return await self._to_its_end(_erase(request))

        return routes

    async def drain(self) -> None:
        """Wait for the turns that have begun."""
        if self._running:
            await asyncio.wait(self._running)

    async def _to_its_end(self, work: Coroutine[Any, Any, dict[str, Any]]) -> HTTPResponse:
        # A client that hangs up must not leave half a turn behind: it runs to its end.
        task = asyncio.create_task(_answer(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)


async def _turn(request: Request) -> dict[str, Any]:
    turn = read_turn(request.body)
    return await take_turn(turn, request.app.ctx.agent, request.app.ctx.understanding)


async def _hand_back(request: Request) -> dict[str, Any]:
    hand_back = read_hand_back(request.body)
    return await take_hand_back(hand_back, request.app.ctx.agent, SilentOutput())


async def _erase(request: Request) -> dict[str, Any]:
    return await take_erasure(read_erasure(request.body), request.app.ctx.agent)


async def _answer(work: Coroutine[Any, Any, dict[str, Any]]) -> HTTPResponse:
    try:
        body = await work
    except BadTurn as error:
        return _problem(error.status, error.code, str(error), field=error.field)
    except DialogueError as error:
        logger.error("turn failed code=%s reason=%s", error.code, error)
        return _problem(error.status, error.code, str(error))
    except Exception:
        logger.exception("turn failed")
        return _problem(500, "dialogue_failed", "the turn failed; the log says why")
    return response.raw(ujson.dumps(body).encode(), content_type="application/json")


async def take_turn(
    request: TurnRequest, agent: TurnAgent, understanding: Understanding
) -> dict[str, Any]:
    """Answer a message, or give the answer that it had. Raises DialogueError."""
    started = time.perf_counter()
    store = agent.tracker_store
    async with agent.lock_store.lock(request.conversation_id):
        earlier = await store.answered_turn(request.conversation_id, request.message_id)
        if earlier is not None:
            if earlier.text != request.text:
                raise BadTurn("message_id", "was used for another text", status=422)
            timing = {"nlu": 0.0, "dialogue": 0.0, "total": _ms(started)}
            return _body(earlier, timing, duplicate=True)
        parse = await understanding.understand(
            request.text,
            request.message_id,
            literal=request.literal,
            conversation_id=request.conversation_id,
        )
        understood = time.perf_counter()
        message = UserMessage(
            text=request.text,
            output_channel=SilentOutput(),
            sender_id=request.conversation_id,
            parse_data=parse,
            input_channel="turn",
            message_id=request.message_id,
            metadata=request.metadata,
        )
        try:
            conversation = await agent.processor.run_turn(message)
            turn = await store.commit(
                conversation,
                message_id=request.message_id,
                text=request.text,
                replies=[reply for e in conversation.new_events() if (reply := reply_of(e))],
                parse=parse,
            )
        except BaseException:
            store.forget(request.conversation_id)
            raise
    timing = {
        "nlu": round((understood - started) * 1000, 2),
        "dialogue": _ms(understood),
        "total": _ms(started),
    }
    return _body(turn, timing, duplicate=False)


class SilentOutput(OutputChannel):
    """Sends nothing: the replies are read from the turn's events, where their metadata is."""

    @classmethod
    def name(cls) -> str:
        """The channel's name, by which responses may be written for it alone."""
        return "turn"

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        """Do nothing."""


def reply_of(event: Event) -> dict[str, Any] | None:
    """A bot message as the gateway wants it."""
    if not isinstance(event, BotUttered):
        return None
    reply: dict[str, Any] = {}
    if event.text:
        reply["text"] = event.text
    for name in ("buttons", "image", "custom"):
        if event.data.get(name):
            reply[name] = event.data[name]
    if not reply:
        return None
    reply["metadata"] = {
        name: value for name, value in event.metadata.items() if name not in NOT_FOR_THE_GATEWAY
    }
    return reply


def _body(turn: Turn, timing: Timing, *, duplicate: bool) -> dict[str, Any]:
    return {
        "message_id": turn.message_id,
        "duplicate": duplicate,
        "replies": turn.replies,
        "parse": turn.parse,
        "events": turn.events,
        "timing_ms": timing,
    }


def _problem(status: int, code: str, message: str, **more: str) -> HTTPResponse:
    return response.json({"error": {"code": code, "message": message, **more}}, status=status)


def _ms(since: float) -> float:
    return round((time.perf_counter() - since) * 1000, 2)
