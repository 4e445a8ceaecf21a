"""aiogram's client on the gateway's own connections, with its errors as the outbox knows them."""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)

from bot.channels.channel import SendLater, SendRefused

REQUEST_TIMEOUT_S = 15


def open_bot(session: aiohttp.ClientSession, api_url: str, *, token: str) -> Bot:
    """A bot whose requests go over `session` to the Bot API at `api_url`."""
    return Bot(token, session=_Session(session, api_url))


class _Session(AiohttpSession):
    """aiogram's calls over the gateway's own connections, which it neither opens nor closes."""

    def __init__(self, session: aiohttp.ClientSession, api_url: str) -> None:
        super().__init__(api=TelegramAPIServer.from_base(api_url), timeout=REQUEST_TIMEOUT_S)
        self._shared = session

    async def create_session(self) -> aiohttp.ClientSession:
        return self._shared

    async def close(self) -> None:
        return None


class ContentRefused(SendRefused):
    """Telegram refused a request for what was in it."""


@contextmanager
def as_ours() -> Iterator[None]:
    """Turn aiogram's errors into SendLater and SendRefused; an address in them holds the token."""
    try:
        yield
    except TelegramRetryAfter as error:
        raise SendLater("Telegram asks for patience", float(error.retry_after)) from None
    except (TelegramForbiddenError, TelegramMigrateToChat) as error:
        raise SendRefused(f"Telegram: {error.message}") from None
    except (TelegramBadRequest, TelegramEntityTooLarge) as error:
        raise ContentRefused(f"Telegram: {error.message}") from None
    except (TelegramNetworkError, TelegramServerError) as error:
        raise SendLater(f"Telegram cannot be reached ({type(error).__name__})") from None
    except TelegramUnauthorizedError:
        raise SendLater("Telegram refuses the token; check KEFU_TELEGRAM_TOKEN") from None
    except (AiogramError, TimeoutError) as error:
        # Also a token that Telegram does not know (404) and an answer that is no JSON.
        raise SendLater(f"Telegram: {type(error).__name__}") from None
