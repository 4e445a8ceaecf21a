"""Channels: whether every door and process does its job."""
