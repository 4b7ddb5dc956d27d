"""Redis as a sink of batches: the newest row of each key, for serving."""
