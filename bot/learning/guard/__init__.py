"""Keeps poison and mistakes out of what is learned, until a person has looked at them."""
