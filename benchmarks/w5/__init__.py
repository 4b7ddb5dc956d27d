"""W5: exact deduplication, and a join with a large table."""
