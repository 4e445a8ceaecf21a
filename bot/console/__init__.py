"""The agents' console: server-rendered pages for who reads, answers and corrects."""
