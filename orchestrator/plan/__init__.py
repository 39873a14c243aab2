"""A sweep file becomes a list of trials: pure functions, no data, no models."""
