"""The QA store: questions the company has answered, found again by what they mean."""
