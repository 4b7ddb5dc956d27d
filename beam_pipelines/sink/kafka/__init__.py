"""Kafka as a sink of batches: at least once, with an idempotent producer and an id in each record."""
