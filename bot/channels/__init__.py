"""Messaging platforms: one module or package each, and what they share."""
