"""Tables of stores as a source: read in parts, in Arrow, and judged by a contract as files are."""
