"""The action server: answers from the QA store, business actions, handoff."""
