"""`log_to`: copies of curves, settings and measures in TensorBoard, MLflow and W&B."""
