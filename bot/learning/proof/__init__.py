"""The proof that a challenger is better than the champion, before anything changes."""
