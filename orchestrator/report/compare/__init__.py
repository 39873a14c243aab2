"""What changed between results folders, or between sweeps of them."""
