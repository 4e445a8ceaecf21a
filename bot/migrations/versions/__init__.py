"""The one history of the schema: each file goes from the version before it to its own."""
