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
        audit: str | None = None,
    ) -> None:
        super().__init__(f"{field}: {message}; {remedy}")
        self.status = status
        self.field = field
        self.message = message
        self.remedy = remedy
        self.retry_after_s = retry_after_s
        # The action of the audit row that this refusal leaves; None leaves none.
        self.audit = audit

    def body(self) -> dict[str, dict[str, str]]:
        """The JSON body that goes with the status."""
        return {"error": {"field": self.field, "message": self.message, "remedy": self.remedy}}


class SettingError(KefuError):
    """A setting that cannot be used; names the variable."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(f"{variable}: {reason}")
        self.variable = variable


class StorageError(KefuError):
    """The database did not take a write or answer a read; nothing of it was kept."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database did not answer ({reason}); check disk, path and server")
        self.reason = reason


class NotStorable(KefuError):
    """Content that the database cannot keep, such as NUL in a text; trying again would not help."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database cannot keep this content ({reason}); leave it out")
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


class NotInOutbox(KefuError):
    """The outbox has no such message in a state that the command is for."""

    def __init__(self, message_id: str, states: str) -> None:
        super().__init__(
            f"no {states} message {message_id} in the outbox; `kefu outbox list` shows what there "
            "is, nothing was changed"
        )
        self.message_id = message_id


class GatewayRefused(KefuError):
    """The gateway did not take what `kefu chat` or `kefu ask` sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
