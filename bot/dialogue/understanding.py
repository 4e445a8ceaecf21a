"""Asks the understanding service what a message means."""

import asyncio
from typing import Any

import aiohttp
import ujson
from rasa.core.channels.channel import UserMessage

from bot.dialogue.errors import UnderstandingFailed

TIMEOUT_S = 10.0


class Understanding:
    """`POST /model/parse` over one kept-alive session.

    Rasa's own client opens a session a message, waits up to 300 s, and turns every failure into
    the empty intent, which would be answered as if the customer had said nothing known.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/model/parse"
        self._timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)

    async def understand(
        self, text: str, message_id: str, *, literal: bool, conversation_id: str
    ) -> dict[str, Any]:
        """The parse of a text; a literal text is never read as a payload.

        All of a conversation is understood by one version, also while another is on trial. Raises
        UnderstandingFailed.
        """
        body = {
            "text": text,
            "message_id": message_id,
            "literal": literal,
            "conversation_id": conversation_id,
        }
        try:
            async with self._session.post(self._url, json=body, timeout=self._timeout) as response:
                if response.status != 200:
                    raise UnderstandingFailed(f"status {response.status}")
                parse = ujson.loads(await response.read())
        except asyncio.TimeoutError:
            raise UnderstandingFailed(f"nothing within {TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise UnderstandingFailed(type(error).__name__) from error
        if not _is_parse(parse):
            raise UnderstandingFailed("its answer is no parse")
        return parse

    async def parse(self, message: UserMessage) -> dict[str, Any]:
        """What Rasa's processor asks of its interpreter, for messages of Rasa's other channels."""
        return await self.understand(
            message.text or "",
            message.message_id,
            literal=False,
            conversation_id=message.sender_id,
        )


def _is_parse(parse: Any) -> bool:
    return (
        isinstance(parse, dict)
        and isinstance(parse.get("intent"), dict)
        and isinstance(parse["intent"].get("name"), str)
        and isinstance(parse.get("entities"), list)
    )
