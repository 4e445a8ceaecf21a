"""The processes behind the gateway as it sees them: one turn of dialogue, one text understood."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import aiohttp

from bot.errors import TurnRefused, TurnUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """One customer message for the dialogue process."""

    conversation_id: str
    message_id: str
    text: str
    channel: str
    # A text that begins with "/" and is no payload the bot offered is plain text.
    literal: bool
    # The customer waits for a person, whoever called for one.
    waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HandBack:
    """What the dialogue is to learn of a person's part in a conversation; `slots` are set."""

    conversation_id: str
    event_id: str
    outcome: str
    slots: dict[str, Any]


class Dialogue(Protocol):
    """Does turns; the same message id again gives the same answer."""

    async def turn(self, request: TurnRequest) -> dict[str, Any]:
        """The turn channel's answer; raises TurnUnavailable or TurnRefused."""
        ...

    async def hand_back(self, event: HandBack) -> None:
        """Tell of a hand-back, once an event id; raises TurnUnavailable or TurnRefused."""
        ...

    async def erase(self, conversation_ids: Sequence[str]) -> dict[str, Any]:
        """Forget conversations for good, with how many turns went.

        Raises TurnUnavailable or TurnRefused.
        """
        ...

    async def ready(self) -> str | None:
        """None when turns can be done, else the reason why not."""
        ...


class Understanding(Protocol):
    """Understands a text outside of any dialogue."""

    async def parse(self, text: str) -> dict[str, Any]:
        """The parse of one text; raises TurnUnavailable."""
        ...

    async def explain(self, text: str) -> dict[str, Any]:
        """The parse with `explanation`, the words for its intent, and `fallback_threshold`.

        Raises TurnUnavailable.
        """
        ...

    async def forget(self) -> int:
        """Drop the texts that are remembered; how many. Raises TurnUnavailable."""
        ...


class HttpDialogue:
    """The dialogue process over its turn channel."""

    def __init__(self, session: aiohttp.ClientSession, url: str, *, timeout_s: float) -> None:
        self._session = session
        self._turn_url = f"{url.rstrip('/')}/webhooks/turn/turn"
        self._hand_back_url = f"{url.rstrip('/')}/webhooks/turn/hand-back"
        self._erase_url = f"{url.rstrip('/')}/webhooks/turn/erase"
        self._ready_url = f"{url.rstrip('/')}/readyz"
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def turn(self, request: TurnRequest) -> dict[str, Any]:
        """The turn channel's answer; raises TurnUnavailable or TurnRefused."""
        body = {
            "conversation_id": request.conversation_id,
            "message_id": request.message_id,
            "text": request.text,
            "metadata": {
                "literal": request.literal,
                "channel": request.channel,
                "waiting": request.waiting,
            },
        }
        answer = await _post(self._session, self._turn_url, body, self._timeout)
        if not isinstance(answer.get("replies"), list) or not isinstance(answer.get("parse"), dict):
            raise TurnUnavailable("answered without replies or parse")
        return answer

    async def hand_back(self, event: HandBack) -> None:
        """Tell of a hand-back, once an event id; raises TurnUnavailable or TurnRefused."""
        await _post(self._session, self._hand_back_url, asdict(event), self._timeout)

    async def erase(self, conversation_ids: Sequence[str]) -> dict[str, Any]:
        """Forget conversations for good, with how many turns went.

        Raises TurnUnavailable or TurnRefused.
        """
        body = {"conversation_ids": list(conversation_ids)}
        return await _post(self._session, self._erase_url, body, self._timeout)

    async def ready(self) -> str | None:
        """None when turns can be done, else the reason why not."""
        try:
            async with self._session.get(
                self._ready_url, timeout=aiohttp.ClientTimeout(total=2)
            ) as response:
                if response.status == 200:
                    return None
                return f"the dialogue process is not ready ({response.status})"
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"the dialogue process does not answer ({type(error).__name__})"


class HttpUnderstanding:
    """The understanding service."""

    def __init__(self, session: aiohttp.ClientSession, url: str, *, timeout_s: float) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/v1/classify"
        self._forget_url = f"{url.rstrip('/')}/v1/forget"
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def parse(self, text: str) -> dict[str, Any]:
        """The parse of one text; raises TurnUnavailable."""
        return (await self._classify({"texts": [text]}))[0]

    async def explain(self, text: str) -> dict[str, Any]:
        """The parse with `explanation`, the words for its intent, and `fallback_threshold`."""
        parse, answer = await self._classify({"texts": [text], "explain": True})
        return parse | {"fallback_threshold": answer.get("fallback_threshold")}

    async def forget(self) -> int:
        """Drop the texts that are remembered; how many. Raises TurnUnavailable."""
        try:
            answer = await _post(self._session, self._forget_url, {}, self._timeout)
            return int(answer["forgotten"])
        except (TurnRefused, KeyError, TypeError, ValueError) as error:
            raise TurnUnavailable(f"the understanding service answered {error}") from error

    async def _classify(self, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The parse of the first text, and the whole answer."""
        try:
            answer = await _post(self._session, self._url, body, self._timeout)
            parse = answer["results"][0]
        except (TurnRefused, KeyError, IndexError, TypeError) as error:
            raise TurnUnavailable(f"the understanding service answered {error}") from error
        if not isinstance(parse, dict):
            raise TurnUnavailable("the understanding service answered no parse")
        return parse, answer


async def _post(
    session: aiohttp.ClientSession, url: str, body: dict[str, Any], timeout: aiohttp.ClientTimeout
) -> dict[str, Any]:
    try:
        async with session.post(
            url,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            timeout=timeout,
        ) as response:
            raw = await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise TurnUnavailable(f"no answer ({type(error).__name__})") from error
    if status >= 500 or status in (404, 408, 425, 429):
        # Rasa answers 404 while its channels are not mounted yet.
        raise TurnUnavailable(f"answered {status} ({_reason(raw)})")
    if status >= 400:
        raise TurnRefused(status, _reason(raw))
    try:
        answer = json.loads(raw)
    except ValueError as error:
        raise TurnUnavailable("answered something else than JSON") from error
    if not isinstance(answer, dict):
        raise TurnUnavailable("answered something else than an object")
    return answer


def _reason(raw: bytes) -> str:
    """What a service says of its failure, in its `{"error": {"message"}}` or else in short."""
    try:
        return str(json.loads(raw)["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return raw[:100].decode("utf-8", "replace") or "no reason given"
