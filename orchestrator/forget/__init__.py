"""A removal request, end to end: from anybody's fine-tuned model and a list of recordings to a checked new model."""
