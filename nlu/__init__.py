"""Understanding: texts and tensors; no database, no Rasa."""
