"""The learning loop: its runs and releases, what is held back, messages nothing is known for."""
