"""Measures of forgetting: pure functions over arrays."""
