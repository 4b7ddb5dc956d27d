"""Google Pub/Sub as a source of raw batches."""
