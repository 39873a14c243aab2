"""Rows become tables and plots."""
