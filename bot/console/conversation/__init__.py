"""One conversation: read, watched, taken, answered, noted on and given back."""
