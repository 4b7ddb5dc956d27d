"""Kafka as a source of raw batches, without Java: confluent-kafka under the streams' unbounded source."""
