"""AMQP 0-9-1 as a sink of batches: at least once, with publisher confirms and an id in each message."""
