"""The paper's tables as values, and their renderings."""
