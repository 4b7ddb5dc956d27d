"""Change rows: deduplicate."""
