"""Versions of the training data: immutable folders of rows that the log taught."""
