"""Start sweeps on clusters: manifests and the templates behind them."""
