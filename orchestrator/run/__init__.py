"""Trials become rows: training, unlearning, evaluation, and the executors that schedule them."""
