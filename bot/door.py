"""The door for messaging platforms: what one of them brought becomes a kept message."""

import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bot.errors import RequestError
from bot.http.body import check_text
from bot.http.limits import Limits
from bot.http.rate_limits import RateLimits
from bot.intake import Intake
from bot.log import nonces
from bot.log.journal import Journal
from bot.log.records import Accepted, Inbound, Reply
from bot.world import World

logger = logging.getLogger(__name__)

_MAX_KNOWN = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A customer's message as a platform brought it.

    `account` is the customer's address: all that an answer needs. `message_id` is the platform's
    own and the same in each of its tries. `nonce` is the signature of a request that may come only
    once.
    """

    account: str
    message_id: str
    text: str = ""
    attachments: tuple[dict[str, Any], ...] = ()
    nonce: str | None = None
    locale: str | None = None


class Door:
    """Finds the conversation and keeps the message; then the platform may be acknowledged."""

    def __init__(
        self,
        journal: Journal,
        intake: Intake,
        limits: Limits,
        world: World,
        rates: RateLimits | None = None,
    ) -> None:
        self._journal = journal
        self._rates = rates
        self._intake = intake
        self._limits = limits
        self._world = world
        self._conversations: dict[tuple[str, str], str] = {}
        self._counted: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    async def receive(self, channel: str, received: Received) -> Accepted | None:
        """Keep a message. None: it had nothing to read, and the customer has been told so.

        Raises RequestError (401 for a used nonce, 422 for a used id, 429, 503) and StorageError:
        the platform must then not be acknowledged, except for 422, where another try cannot help.
        """
        self._intake.refuse_when_closed()
        self._limit(channel, received)
        if received.attachments and not received.text.strip():
            received = replace(received, text="")
        try:
            if received.text or not received.attachments:
                check_text(received.text, "text", self._limits.max_text_chars)
        except RequestError as refusal:
            await self._turn_away(channel, received, refusal)
            return None
        try:
            return await self._intake.take(await self._inbound(channel, received))
        except RequestError as error:
            if error.status != 404:
                raise
        # Erased since it was looked up: the customer starts anew.
        self._conversations.pop((channel, received.account), None)
        return await self._intake.take(await self._inbound(channel, received))

    def _limit(self, channel: str, received: Received) -> None:
        """Count a message once, however often it is brought.

        A platform that brings many in one request or page begins anew after a refusal: if those
        that passed counted again, the rest would never get through.
        """
        message = (channel, received.account, received.message_id)
        if self._rates is None or message in self._counted:
            return
        # Not by address: a platform's servers are everyone's.
        self._rates.customer(channel, received.account)
        self._rates.message(channel)
        self._counted[message] = None
        if len(self._counted) > _MAX_KNOWN:
            self._counted.popitem(last=False)

    async def _inbound(self, channel: str, received: Received) -> Inbound:
        return Inbound(
            conversation_id=await self._conversation(channel, received),
            channel=channel,
            account=received.account,
            message_id=received.message_id,
            text=received.text,
            attachments=tuple(map(_storable, received.attachments)),
            nonce=received.nonce,
        )

    async def _conversation(self, channel: str, received: Received) -> str:
        key = (channel, received.account)
        known = self._conversations.get(key)
        if known is None:
            known = await self._journal.open_conversation(
                channel, received.account, locale=received.locale
            )
            if len(self._conversations) >= _MAX_KNOWN:
                self._conversations.clear()
            self._conversations[key] = known
        return known

    async def _turn_away(self, channel: str, received: Received, refusal: RequestError) -> None:
        """Tell the customer, once for each message, why it cannot be read."""
        logger.info("unreadable", extra={"channel": channel, "why": refusal.message})
        if not received.text.strip():
            # A sticker or an emoji-less reaction: nothing was asked, nothing is owed.
            return
        if received.nonce is not None:
            await self._journal.write(
                partial(nonces.use, channel=channel, key=received.nonce, now=self._world.now())
            )
        notice = Reply(
            id=_notice_id(channel, received),
            text=f"Sorry, {refusal.message}. Please {refusal.remedy}.",
            author="system",
        )
        for _ in range(2):
            conversation_id = await self._conversation(channel, received)
            if await self._journal.say(conversation_id, [notice], repeatable=True) is not None:
                return
            # Erased since it was looked up.
            self._conversations.pop((channel, received.account), None)


def _notice_id(channel: str, received: Received) -> str:
    """The same for each try of the message, and no other's; tells nothing of the customer."""
    named = "\0".join([channel, received.account, received.message_id])
    return f"notice-{hashlib.blake2b(named.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


def _storable(attachment: dict[str, Any]) -> dict[str, Any]:
    """The attachment without what no database keeps: NUL, halves of surrogate pairs."""
    return {
        key: value.replace("\0", "").encode("utf-8", "replace").decode()
        if isinstance(value, str)
        else value
        for key, value in attachment.items()
    }
