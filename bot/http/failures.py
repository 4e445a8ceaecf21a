"""Turns every failure of a request into JSON that names the field and the remedy."""

import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.errors import RequestError, StorageError
from bot.http.client_address import Address
from bot.http.refusals import Refusals

logger = logging.getLogger(__name__)


def answer_failures(
    refusals: Refusals, client: Callable[[web.Request], Address | None]
) -> Middleware:
    """The outermost middleware; refusals that matter leave an audit row."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await _answer(request, handler)
        except RequestError as error:
            if error.audit is not None:
                refusals.note(error.audit, client(request), _target(request))
            return _refusal(error)

    return answer


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's response, or what went wrong; no traceback ever leaves the process."""
    try:
        return await handler(request)
    except RequestError:
        raise
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


def _target(request: web.Request) -> str:
    # The route, not the path: that may hold anything.
    resource = request.match_info.route.resource
    return f"{request.method} {'unknown' if resource is None else resource.canonical}"


def _refusal(error: RequestError) -> web.Response:
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    response = web.json_response(error.body(), status=error.status, headers=headers)
    if error.status in (408, 413):
        # The rest of the body is not waited for.
        response.force_close()
    return response
