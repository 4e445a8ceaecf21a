"""Releases: who answers, on whose word, and what is tried on a share of the conversations."""
