"""Change rows: filter, derive, select, explode, flatten, unpivot, pivot, deduplicate."""
