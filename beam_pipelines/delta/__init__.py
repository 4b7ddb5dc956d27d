"""Delta Lake: where tables are and how to reach them, for the source and the sink."""
