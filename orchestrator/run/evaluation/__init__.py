"""What is measured after a trial, and the row that it becomes."""
