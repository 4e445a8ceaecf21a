"""Reviewing: one turn after the other, proposals of answers, agreement, history."""
