"""Benchmarks: each prints one JSON object of figures, measured side by side in one run."""
