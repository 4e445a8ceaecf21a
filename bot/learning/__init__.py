"""Learning: trained versions, and the runs that make them."""
