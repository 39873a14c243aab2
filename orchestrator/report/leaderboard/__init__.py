"""Methods ranked over many cells, on one page."""
