"""People: signing in, passwords, who has access, and the audit log."""
