"""Models: trained versions, what they scored, which one serves, and training runs."""
