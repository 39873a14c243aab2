"""Decide which trial runs next, and which driver may run it."""
