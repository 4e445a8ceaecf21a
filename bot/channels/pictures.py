"""Gets the bytes of what is to be sent, for platforms that take files and no addresses."""

import re

from bot.channels import media
from bot.channels.channel import SendRefused, Upload, Wiring
from bot.http import file_types

MAX_BYTES = 10 * 1024 * 1024
_TAKEN = {"image/jpeg": "jpg", "image/png": "png"}


async def load_image(wiring: Wiring, url: str) -> Upload | None:
    """The picture at an address; None when there is none that the platform would show.

    Raises SendLater when its server may answer another time.
    """
    if not re.match("https?://", url):
        return None
    try:
        upload = await media.download(wiring.session, url, max_bytes=MAX_BYTES, headers={})
    except SendRefused:
        return None
    return as_picture(upload)


def as_picture(upload: Upload) -> Upload | None:
    """The file as a picture that both platforms show (JPEG or PNG by its bytes), else None."""
    content_type = file_types.type_of(upload.data, upload.content_type)
    if content_type not in _TAKEN:
        return None
    return Upload(name=f"image.{_TAKEN[content_type]}", content_type=content_type, data=upload.data)
