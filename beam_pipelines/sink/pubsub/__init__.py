"""Google Pub/Sub as a sink of batches: at least once, with an id in each message."""
