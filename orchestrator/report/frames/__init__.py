"""From rows to data frames: selection, gaps to Retrain, means over seeds and backbones."""
