"""What is forgotten: requests as a sweep states them, and the utterances that each one selects."""
