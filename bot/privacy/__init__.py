"""Privacy: customers are erased everywhere, get what is held of them, and data has its time."""
