"""Attacks and distances of a results folder, as tables and files."""
