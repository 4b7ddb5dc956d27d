"""W7: our transforms inside a pipeline of rows: what the way to batches and back costs, and one transform."""
