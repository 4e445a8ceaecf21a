"""The conversation log: every message and every turn, redacted, in one database."""
