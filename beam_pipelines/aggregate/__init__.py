"""SQL-style aggregates over windows of batches."""
