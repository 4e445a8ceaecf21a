"""Doors to the gateway: each channel turns requests into inbound messages and replies back."""
