"""The HTTP door: routes, what a request must pass before them, and how refusals look."""
