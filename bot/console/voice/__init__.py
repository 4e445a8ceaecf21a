"""Voice of the customer: figures, comparison with the period before, the emotion watch."""
