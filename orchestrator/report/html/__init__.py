"""The report as one page: a self-contained file that reads without JavaScript and without a network."""
