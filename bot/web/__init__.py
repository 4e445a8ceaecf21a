"""The chat widget: its sources, its build, and the pages that serve it."""
