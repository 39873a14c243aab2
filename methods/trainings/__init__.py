"""Kinds of training: how originals and Retrain are made, and what is kept for later requests; one file a kind."""
