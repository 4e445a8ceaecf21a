"""Conversations between bot, queue and agents: who has them, and what moves them on."""
