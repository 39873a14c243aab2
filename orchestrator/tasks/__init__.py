"""Speech corpora as Arrow data sets, one file a corpus; and forget sets."""
