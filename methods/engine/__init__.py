"""The loop that runs the passes of every method: batches, losses, gradients, and what is charged."""
