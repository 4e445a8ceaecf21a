"""Which files are taken: known by their first bytes, named so that nothing runs them."""

import re
import unicodedata

# By type: the extensions that fit, the usual one first.
EXTENSIONS: dict[str, tuple[str, ...]] = {
    "image/jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "image/png": ("png",),
    "image/gif": ("gif",),
    "image/webp": ("webp",),
    "application/pdf": ("pdf",),
    "text/plain": ("txt", "log", "csv", "md"),
}
_BEGINNINGS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-1.", "application/pdf"),
    (b"%PDF-2.", "application/pdf"),
)
# What a text must not hold: a browser that guesses would run it, whatever its type says.
_MARKUP = re.compile(
    rb"<[/\s]*(?:!doctype|\?xml|\?php|!--|!\[cdata|(?:html|head|title|body|script|svg|math|iframe|frame|object"
    rb"|embed|applet|img|image|video|audio|style|meta|link|base|form|input|button|table|div|font|h1|a"
    rb"|b|p|br|template|marquee|details|isindex|xss)[\s/>])",
    re.IGNORECASE,
)
# Types that a sender may claim for no file at all.
_ACTIVE = re.compile(r"html|xml|svg|script", re.IGNORECASE)
_FORBIDDEN_IN_NAMES = re.compile(r'[<>:"|?*%&;$`\']')
_MAX_NAME_CHARS = 100


def type_of(data: bytes, claimed: str) -> str | None:
    """The file's type by its bytes; None for one that is not taken.

    What the sender claims is only believed where it is bad news.
    """
    if _ACTIVE.search(claimed):
        return None
    for beginning, content_type in _BEGINNINGS:
        if data.startswith(beginning):
            return content_type
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return "text/plain" if _is_plain_text(data) else None


def kind_of(content_type: str) -> str:
    """`image` or `file`, as attachments say it."""
    return "image" if content_type.startswith("image/") else "file"


def clean_name(name: str, content_type: str) -> str:
    """A file name without folders, control and direction characters, with a fitting extension."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    kept = "".join(
        char for char in last if unicodedata.category(char)[0] not in "CZ" or char == " "
    )
    kept = _FORBIDDEN_IN_NAMES.sub("_", kept).strip(" .")
    stem, dot, extension = kept.rpartition(".")
    fitting = EXTENSIONS[content_type]
    if dot and stem and extension.lower() in fitting:
        return f"{stem[:_MAX_NAME_CHARS].rstrip(' .')}.{extension.lower()}"
    return f"{kept[:_MAX_NAME_CHARS].rstrip(' .') or 'file'}.{fitting[0]}"


def _is_plain_text(data: bytes) -> bool:
    if not data or _MARKUP.search(data):
        return False
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(char < " " and char not in "\t\n\r\f" for char in text)
