"""Presets that reproduce the authors' public code, MU-Bench, with its deviations from the paper."""
