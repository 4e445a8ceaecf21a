"""Answers: the store of answered questions, edited with history."""
