"""The results folder: one Parquet row a trial, and the files that trials share."""
