"""What can be applied to a gradient method: SuperLoss, a curriculum over D_f, low-rank adapters."""
