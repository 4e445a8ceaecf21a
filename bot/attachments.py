"""Brings what customers attach on messaging platforms into our own store."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.channels.channel import Channel, SendLater, SendRefused, Upload
from bot.errors import RequestError
from bot.http.files import FileStore
from bot.log.records import Accepted
from bot.world import World

logger = logging.getLogger(__name__)

TRIES = 3
FETCH_TIMEOUT_S = 15.0
PAUSE_S = 1.0


class NotKept(Exception):
    """Why an attachment is not in our store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformAttachments:
    """Fetches by the channel's own means and keeps what an upload might be, too.

    A message is answered without what could not be had: the attachment then has a `missing` that
    says why, and its `reference` stays.
    """

    store: FileStore
    channels: Mapping[str, Channel]
    world: World

    async def bring(self, accepted: Accepted) -> list[dict[str, Any]]:
        """The message's attachments, each with the `id` of its stored file or `missing`.

        Raises StorageError: try it again.
        """
        return [await self._bring(accepted, one) for one in accepted.inbound.attachments]

    async def _bring(self, accepted: Accepted, attachment: dict[str, Any]) -> dict[str, Any]:
        channel = self.channels.get(accepted.inbound.channel)
        if channel is None or attachment.get("id") or not attachment.get("reference"):
            return attachment
        try:
            upload = await self._fetch(channel, attachment)
            kept = await self.store.keep(
                accepted.inbound.conversation_id,
                upload.data,
                name=upload.name,
                claimed=upload.content_type,
            )
        except (NotKept, RequestError) as reason:
            logger.warning("attachment missing", extra={"turn_of": accepted.id, "why": str(reason)})
            return attachment | {"missing": str(reason)}
        return attachment | kept

    async def _fetch(self, channel: Channel, attachment: dict[str, Any]) -> Upload:
        reason = "no answer in time"
        for attempt in range(TRIES):
            if attempt:
                await self.world.sleep(PAUSE_S * attempt)
            try:
                async with asyncio.timeout(FETCH_TIMEOUT_S):
                    return await channel.fetch(attachment)
            except SendRefused as refused:
                raise NotKept(refused.reason) from refused
            except SendLater as later:
                reason = later.reason
            except TimeoutError:
                pass
            except Exception as error:
                logger.exception("channel failed", extra={"channel": channel.name})
                raise NotKept(type(error).__name__) from error
        raise NotKept(reason)
