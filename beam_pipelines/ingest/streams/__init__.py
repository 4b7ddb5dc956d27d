"""Sources without an end: logs in partitions, read in batches with a watermark for each partition."""
