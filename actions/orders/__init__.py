"""The example shop's orders: what customers may do with them, and doing it."""
