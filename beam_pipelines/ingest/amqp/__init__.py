"""Queues of AMQP 0-9-1 as a source of raw batches."""
