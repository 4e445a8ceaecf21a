"""Takes files in from other servers: bounded in size and time."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from bot.channels.channel import SendLater, SendRefused, Upload

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)


async def download(
    session: aiohttp.ClientSession, url: str | URL, *, max_bytes: int, headers: dict[str, str]
) -> Upload:
    """The file at an address; redirects are not followed, they could lead anywhere.

    Raises SendLater when the server does not answer or is busy, SendRefused when it says no or the
    file is larger than `max_bytes`.
    """
    try:
        async with session.get(
            url, headers=headers, timeout=TIMEOUT, allow_redirects=False
        ) as response:
            return await read_upload(response, max_bytes=max_bytes)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise SendLater(f"the file did not come ({type(error).__name__})") from error
    except ValueError:
        raise SendRefused("the file has an address that is none") from None


async def read_upload(response: aiohttp.ClientResponse, *, max_bytes: int) -> Upload:
    """The file that a response carries; raises SendLater and SendRefused."""
    if response.status >= 500 or response.status == 429:
        raise SendLater(f"the file's server answered {response.status}")
    if response.status != 200:
        raise SendRefused(f"the file's server answered {response.status}")
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > max_bytes:
            raise SendRefused(f"the file is larger than {max_bytes} bytes")
    return Upload(
        name=_name(response.headers) or response.url.name or "file",
        content_type=response.content_type,
        data=bytes(data),
    )


def described(file: Upload, attachment: dict[str, Any]) -> Upload:
    """The file under the name and, where its server did not know it, the type from the message."""
    content_type = file.content_type
    if content_type == "application/octet-stream":
        content_type = str(attachment.get("content_type") or content_type)
    return replace(file, name=str(attachment.get("name") or file.name), content_type=content_type)


def is_from(url: str, hosts: Collection[str], *, also: str) -> bool:
    """Whether an address is https at one of the hosts or below it, or at the origin of `also`."""
    try:
        address = URL(url)
        if address.user or address.password or not address.host:
            return False
        if address.origin() == URL(also).origin():
            return True
    except ValueError:
        return False
    host = address.host.lower().rstrip(".")
    return (
        address.scheme == "https"
        and address.port == 443
        and any(host == known or host.endswith("." + known) for known in hosts)
    )


def _name(headers: CIMultiDictProxy[str]) -> str | None:
    if "Content-Disposition" not in headers:
        return None
    disposition = aiohttp.multipart.parse_content_disposition(headers["Content-Disposition"])
    return aiohttp.multipart.content_disposition_filename(disposition[1])
