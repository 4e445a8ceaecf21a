"""What can go wrong at the gateway; each error names the field and the remedy."""


class KefuError(Exception):
    """Base of the errors of `bot`."""


class RequestError(KefuError):
    """A request that is refused: the HTTP status, the field at fault and what to do."""

    def __init__(
        self,
        status: int,
        field: str,
        message: str,
        remedy: str,
        *,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{field}: {message}; {remedy}")
        self.status = status
        self.field = field
        self.message = message
        self.remedy = remedy
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, dict[str, str]]:
        """The JSON body that goes with the status."""
        return {"error": {"field": self.field, "message": self.message, "remedy": self.remedy}}


class StorageError(KefuError):
    """The database did not take a write or answer a read; nothing of it was kept."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database did not answer ({reason}); check disk, path and server")
        self.reason = reason


class DatabaseUrlError(KefuError):
    """A database address that kefu cannot use."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"KEFU_DATABASE_URL: {url} is neither SQLite nor PostgreSQL; write sqlite:///path or "
            "postgresql+psycopg://user:password@host/name"
        )
        self.url = url


class TurnUnavailable(KefuError):
    """The dialogue process could not do the turn now; the same turn may succeed later."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"dialogue: {reason}; it is tried again, see `kefu doctor` if it stays")
        self.reason = reason


class TurnRefused(KefuError):
    """The dialogue process refused the turn as wrong; trying again would not help."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"dialogue: refused with {status} ({reason}); see the dialogue log")
        self.status = status
        self.reason = reason


class GatewayUnreachable(KefuError):
    """No gateway answers where `kefu chat` and `kefu ask` look for it."""

    def __init__(self, url: str) -> None:
        super().__init__(f"no gateway answers at {url}; start it with `kefu up` (or `make up`)")
        self.url = url


class LogMissing(KefuError):
    """There is no conversation log where the settings say it is."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"no conversation log at {where}; start kefu once, or set KEFU_DATABASE_URL"
        )
        self.where = where


class ConversationMissing(KefuError):
    """The log has no such conversation."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__(
            f"no conversation {conversation_id} in the log; `kefu log show` lists the latest"
        )
        self.conversation_id = conversation_id


class GatewayRefused(KefuError):
    """The gateway did not take what `kefu chat` or `kefu ask` sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
