"""The limits that every channel keeps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a text and how large a file may be, and how long a request waits for its answer."""

    max_text_chars: int
    wait_timeout_s: float
    max_file_bytes: int = 5_000_000
