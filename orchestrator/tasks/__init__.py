"""Speech corpora as Arrow data sets, one file per corpus."""
