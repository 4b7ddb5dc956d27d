"""Where rows come from: sources of raw batches."""
