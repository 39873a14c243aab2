"""Measures of a trial's model, and the columns of its row."""
