"""Presets that reproduce the authors' public code, MU-Bench, including its deviations from the paper."""
