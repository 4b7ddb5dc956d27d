"""Judge rows by their contract."""
