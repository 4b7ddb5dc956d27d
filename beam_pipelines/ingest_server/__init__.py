"""An HTTP server in front of a Kafka topic: what it answers with 202 is kept by the brokers."""
