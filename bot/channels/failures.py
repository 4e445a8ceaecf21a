"""Turns every failure of a request into JSON that names the field and the remedy."""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.errors import RequestError, StorageError

logger = logging.getLogger(__name__)


@web.middleware
async def answer_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's response, or what went wrong; no traceback ever leaves the process."""
    try:
        return await handler(request)
    except RequestError as error:
        return _refusal(error)
    except (StorageError, TimeoutError) as error:
        logger.error("request not stored", extra={"path": request.path, "error": str(error)})
        return _refusal(
            RequestError(
                503,
                "gateway",
                "the message could not be stored",
                "send it again after the seconds in Retry-After",
                retry_after_s=5,
            )
        )
    except web.HTTPNotFound:
        return _refusal(
            RequestError(404, "path", "there is nothing here", "see docs/reference/http-api.md")
        )
    except web.HTTPMethodNotAllowed as error:
        refusal = _refusal(
            RequestError(
                405,
                "method",
                f"{request.method} is not taken here",
                f"use {' or '.join(sorted(error.allowed_methods))}",
            )
        )
        refusal.headers["Allow"] = error.headers["Allow"]
        return refusal
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _refusal(RequestError(error.status, "request", error.reason, "mend the request"))
    except Exception:
        logger.exception("request failed", extra={"path": request.path})
        return _refusal(RequestError(500, "gateway", "something broke", "see the gateway's log"))


def _refusal(error: RequestError) -> web.Response:
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(error.body(), status=error.status, headers=headers)
