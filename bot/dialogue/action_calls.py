"""How Rasa calls the action server, replaced: `install` puts `run` into Rasa's RemoteAction.

What Rasa does at each call, and what it cost here:
- it checks the answer with `jsonschema.validate`; see action_result.py.
- it opens a new HTTP session; here one is kept.
- it sends all events of the conversation; rasa-sdk's actions and forms need the slots, the latest
  message, the active loop and the last events, so those of the last two user turns are sent.
- on a failure the processor goes on as if the action had done nothing; here it is an ActionFailed,
  which the processor of ours lets through.
"""

import asyncio
from itertools import islice
from typing import Any

import aiohttp
import rasa
import ujson
from rasa.core.actions.action import ActionExecutionRejection, RemoteAction
from rasa.core.channels import OutputChannel
from rasa.core.nlg import NaturalLanguageGenerator
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event, UserUttered, deserialise_events
from rasa.shared.core.trackers import DialogueStateTracker

from bot.dialogue.action_result import ActionResultCheck
from bot.dialogue.errors import ActionFailed

TIMEOUT_S = 20.0
USER_TURNS_SENT = 2
JSON_CONTENT = {"Content-Type": "application/json"}


class ActionCalls:
    """The one client of the action server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._check = ActionResultCheck()

    def install(self) -> None:
        """Make every RemoteAction of this process call through this client."""
        calls = self

        async def run(
            action: RemoteAction,
            output_channel: OutputChannel,
            nlg: NaturalLanguageGenerator,
            tracker: DialogueStateTracker,
            domain: Domain,
        ) -> list[Event]:
            body = call_body(action.name(), tracker)
            if domain.does_custom_action_explicitly_need_domain(action.name()):
                body["domain"] = domain.as_dict()
            answer = await calls.post(action.name(), body)
            said = await action._utter_responses(
                answer.get("responses") or [], output_channel, nlg, tracker
            )
            return [*said, *deserialise_events(answer.get("events") or [])]

        RemoteAction.run = run

    async def post(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """Run an action. Raises ActionFailed, or ActionExecutionRejection when it declined."""
        try:
            async with self._session.post(
                self._url,
                data=ujson.dumps(body).encode(),
                headers=JSON_CONTENT,
                timeout=self._timeout,
            ) as response:
                content = await response.read()
                status = response.status
            answer = ujson.loads(content) if status in (200, 400) else None
        except asyncio.TimeoutError:
            raise ActionFailed(action, f"nothing within {TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise ActionFailed(action, type(error).__name__) from error
        if status == 400 and isinstance(answer, dict) and "action_name" in answer:
            raise ActionExecutionRejection(answer["action_name"], answer.get("error"))
        if status != 200:
            raise ActionFailed(action, f"status {status}")
        problem = self._check.problem(answer)
        if problem is not None:
            raise ActionFailed(action, f"its answer is no action result: {problem}")
        return answer


def call_body(action: str, tracker: DialogueStateTracker) -> dict[str, Any]:
    """The request of rasa-sdk's protocol, with the tracker's last events."""
    loop = tracker.active_loop
    return {
        "next_action": action,
        "sender_id": tracker.sender_id,
        "tracker": {
            "sender_id": tracker.sender_id,
            "slots": tracker.current_slot_values(),
            "latest_message": tracker._latest_message_data(),
            "latest_event_time": tracker.events[-1].timestamp if tracker.events else None,
            "followup_action": tracker.followup_action,
            "paused": tracker.is_paused(),
            "events": [event.as_dict() for event in recent_events(tracker)],
            "latest_input_channel": tracker.get_latest_input_channel(),
            # Without the parse of the message that began the loop: it is large, and nobody asks.
            "active_loop": {
                "name": loop.name,
                "is_interrupted": loop.is_interrupted,
                "rejected": loop.rejected,
                "trigger_message": {},
            }
            if loop
            else {},
            "latest_action": tracker.latest_action,
            "latest_action_name": tracker.latest_action_name,
        },
        "version": rasa.__version__,
    }


def recent_events(tracker: DialogueStateTracker) -> list[Event]:
    """The events from the last `USER_TURNS_SENT` user messages on."""
    user_turns = 0
    for back, event in enumerate(reversed(tracker.events), start=1):
        if isinstance(event, UserUttered):
            user_turns += 1
            if user_turns == USER_TURNS_SENT:
                return list(islice(tracker.events, len(tracker.events) - back, None))
    return list(tracker.events)
